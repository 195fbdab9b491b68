internal import Foundation

extension IorunError {
  /// An error of a file operation, from the number that the kernel gave: `diskFull` where there is
  /// no room, `fileMissing` where nothing stands at the path, else `fileSystem`.
  ///
  /// - Parameters:
  ///   - action: what was tried, for example `cannot write`.
  ///   - path: the file or folder.
  ///   - number: `errno`, read directly after the failing call.
  public static func system(_ action: String, _ path: String, errno number: Int32) -> IorunError {
    let reason = String(cString: strerror(number))
    let message = "\(action) '\(path)': \(reason)"
    switch number {
    case ENOSPC, EDQUOT:
      return IorunError(.diskFull, message, remedy: "Free some space on that disk and try again")
    case ENOENT:
      return IorunError(.fileMissing, message, remedy: "Check the path")
    case EACCES, EPERM:
      return IorunError(
        .fileSystem, message, remedy: "Check who owns it and what its mode allows")
    case ENOTDIR:
      return IorunError(
        .fileSystem, message, remedy: "Choose another path: a file stands where a folder is needed")
    case EMFILE, ENFILE:
      return IorunError(.fileSystem, message, remedy: "Raise the limit on open files (ulimit -n)")
    default:
      return IorunError(.fileSystem, message)
    }
  }
}
