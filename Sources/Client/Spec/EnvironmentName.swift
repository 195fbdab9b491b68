internal import IorunCore

/// Which names a job may give to variables of its ranks; for spec files and for `--env` flags.
public enum EnvironmentName {
  /// What is wrong with a name and what is allowed, or `nil` where it is fine.
  public static func complaint(about name: String) -> (message: String, allowed: String)? {
    if ReservedEnvironment.contains(name) {
      return (
        "env sets \(name), which iorun sets itself for every rank",
        "Remove it, or use another name; the variables of the gang are there when a rank starts"
      )
    }
    let characters = Array(name.utf8)
    let isWord = characters.allSatisfy {
      (65...90).contains($0) || (97...122).contains($0) || (48...57).contains($0) || $0 == 95
    }
    guard let first = characters.first, isWord, !(48...57).contains(first) else {
      return (
        "'\(name.prefix(60))' is no name for an environment variable",
        "Use letters, digits and _, and do not begin with a digit"
      )
    }
    return nil
  }
}
