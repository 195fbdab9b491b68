import Foundation
import Glibc
import IorunCore

/// Says why a command could not be started, in words that lead to the mistake.
enum StartFailure {
  /// A sentence for `ExitCause.notStarted`. `number` is the errno of exec.
  static func reason(_ number: Int32, command: String, folder: String, searchPath: String)
    -> String
  {
    let isPath = command.contains("/")
    let file = command.hasPrefix("/") ? command : "\(folder)/\(command)"
    switch number {
    case ENOENT where isPath && FileManager.default.fileExists(atPath: file):
      return "'\(command)' is there, but the interpreter or loader it names is not on the node; "
        + "check its first line"
    case ENOENT where isPath && !command.hasPrefix("/"):
      return "'\(command)' is not in the job's working folder; check working_dir and the path"
    case ENOENT where isPath:
      return "'\(command)' is not on the node; install it there or ship it in working_dir"
    case ENOENT:
      return "command '\(command)' was not found on the node (PATH is \(searchPath)); "
        + "install it there, or ship it in working_dir and write './\(command)'"
    case EACCES:
      return "'\(command)' is not an executable file; make it one with 'chmod +x'"
    case ENOEXEC:
      return "'\(command)' is not a program for the node's processor"
    default:
      return "'\(command)': \(String(cString: strerror(number)))"
    }
  }
}
