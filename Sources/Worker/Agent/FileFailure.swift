import Foundation
import IorunCore

/// Turns what Foundation says of a failed file operation into an `IorunError`.
enum FileFailure {
  /// `diskFull` where there is no room, `fileMissing` where nothing is there, else `fileSystem`.
  /// `action` is what was tried, for example `cannot make`.
  static func error(_ failure: any Error, _ action: String, _ path: String) -> IorunError {
    let outer = failure as NSError
    let inner = outer.userInfo[NSUnderlyingErrorKey] as? NSError ?? outer
    if inner.domain == NSPOSIXErrorDomain {
      return .system(action, path, errno: Int32(inner.code))
    }
    if (failure as? CocoaError)?.code == .fileWriteOutOfSpace {
      return .system(action, path, errno: ENOSPC)
    }
    return IorunError(.fileSystem, "\(action) '\(path)'", cause: failure)
  }
}
