internal import GRDB
internal import IorunCore

/// Turns what SQLite says into an error that tells a person what to do.
enum StoreFailure {
  /// The error to throw for `error`, which came from the database at `path`.
  static func error(_ error: any Error, path: String) -> any Error {
    guard let failure = error as? DatabaseError else { return error }
    switch failure.resultCode {
    case .SQLITE_FULL:
      return IorunError(
        .diskFull, "there is no room left for the head's database '\(path)'",
        remedy: "Free some space on that disk and try again; nothing was half written")
    case .SQLITE_CORRUPT, .SQLITE_NOTADB:
      return IorunError(
        .identityUnusable, "the head's database '\(path)' is damaged",
        remedy: "Restore the state folder from a copy, or start anew with another --state-dir",
        cause: failure)
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      return IorunError(
        .alreadyRunning, "the head's database '\(path)' is in use by another process",
        remedy: "Stop the other head first", cause: failure)
    default:
      return IorunError(
        .fileSystem, "the head's database '\(path)' cannot be used",
        remedy: "Check the disk and the folder's permissions", cause: failure)
    }
  }

  /// What to throw for a row that this version cannot read.
  static func damaged(_ what: String) -> IorunError {
    IorunError(
      .identityUnusable, "the head's database holds \(what) that cannot be read",
      remedy: "Run the version of iorun that wrote it, or restore the state folder from a copy")
  }
}
