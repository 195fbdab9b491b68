public import IorunCore

/// An error for people: what, why, what to do, and the code to look up in `docs/ERRORS.md`.
public enum ErrorRendering {
  /// The text for stderr, its lines ended.
  public static func text(_ error: IorunError) -> String {
    var lines = ["error: \(TerminalText.oneLine(error.message))"]
    if let cause = error.cause { lines.append("  why: \(TerminalText.oneLine(cause))") }
    if let remedy = error.remedy { lines.append("  do: \(TerminalText.oneLine(remedy))") }
    lines.append("  code: \(error.code)")
    return lines.map { $0 + "\n" }.joined()
  }
}
