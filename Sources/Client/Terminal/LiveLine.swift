/// One line of progress: rewritten in place on a terminal, one line a change elsewhere.
///
/// It returns what to write and writes nothing itself. Whatever else is printed meanwhile goes
/// between `clear` and `redraw`.
public struct LiveLine: Sendable, Hashable {
  private let style: TerminalStyle
  private var shown: String?
  private var lastPlain: String?

  private static let erase = "\r\u{1B}[2K"

  /// Makes a line for an output.
  public init(style: TerminalStyle) { self.style = style }

  /// What to write to show `text`.
  ///
  /// `plain` is what a pipe gets, once for each change: leave out of it what changes all the time,
  /// such as seconds. It is `text` where nothing is given.
  public mutating func show(_ text: String, plain: String? = nil) -> String {
    guard style.isTerminal else {
      let line = TerminalText.oneLine(plain ?? text)
      if line == lastPlain { return "" }
      lastPlain = line
      return line + "\n"
    }
    // The last column stays free: a terminal would wrap the line and leave half of it behind.
    let line = DisplayWidth.cut(TerminalText.oneLine(text), to: (style.columns ?? 80) - 1)
    if line == shown { return "" }
    shown = line
    return Self.erase + line
  }

  /// What to write before something else is printed.
  public func clear() -> String { shown == nil ? "" : Self.erase }

  /// What to write after something else was printed.
  public func redraw() -> String { shown ?? "" }

  /// What to write when the progress is over: the line stays, or goes where not `keeping`.
  public mutating func finish(keeping: Bool = true) -> String {
    guard shown != nil else { return "" }
    shown = nil
    return keeping ? "\n" : Self.erase
  }
}
