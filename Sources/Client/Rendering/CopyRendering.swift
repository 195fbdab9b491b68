public import IorunContract
internal import IorunCore

/// What `iorun cp` says, as text.
public enum CopyRendering {
  /// How far a copy is.
  public static func line(_ progress: CopyProgress) -> String {
    "\(progress.filesDone) of \(progress.filesTotal) files, "
      + "\(Bytes(progress.bytesDone)) of \(Bytes(progress.bytesTotal))"
  }

  /// What was copied.
  public static func summary(_ report: CopyReport) -> String {
    let resumed =
      report.resumedBytes > 0 ? ", of which \(Bytes(report.resumedBytes)) was there already" : ""
    return "\(report.files) file\(report.files == 1 ? "" : "s"), \(Bytes(report.bytes))\(resumed)\n"
  }

  /// What was not copied, a line each. The names are the other side's: they must not move the cursor.
  public static func refusals(_ report: CopyReport) -> String {
    let lines = report.refusals.map {
      "not copied: \(TerminalText.oneLine($0.path)): \(TerminalText.oneLine($0.reason))\n"
    }
    let more = report.refusalCount - report.refusals.count
    return lines.joined() + (more > 0 ? "not copied: \(more) more\n" : "")
  }
}
