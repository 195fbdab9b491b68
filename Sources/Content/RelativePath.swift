internal import IorunCore

/// The one rule for paths below a folder, for those that we read and those that strangers send.
package enum RelativePath {
  /// The parts of `path`, or `nil` for a path that is absolute, too long, or has a part that is
  /// empty, `.`, `..`, longer than a file name may be, or holds a zero byte.
  package static func parts(_ path: String) -> [String]? {
    guard !path.isEmpty, path.utf8.count <= ContentLimits.pathBytes, !path.utf8.contains(0) else {
      return nil
    }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let areGood = parts.allSatisfy {
      !$0.isEmpty && $0 != "." && $0 != ".." && $0.utf8.count <= 255
    }
    return areGood ? parts : nil
  }

  /// True where a symbolic link at `path` with this target stays below the folder, whatever other
  /// such links it leads through.
  ///
  /// `..` may stand only at the target's start: there it climbs real folders, which are counted.
  /// After a name it would climb from wherever that name, itself perhaps a link, leads.
  static func staysBelow(linkAt path: String, target: String) -> Bool {
    guard !target.isEmpty, target.utf8.count <= ContentLimits.pathBytes,
      !target.utf8.contains(0), !target.hasPrefix("/")
    else { return false }
    var depth = path.utf8.count { $0 == UInt8(ascii: "/") }
    var sawName = false
    for part in target.split(separator: "/") where part != "." {
      guard part == ".." else {
        sawName = true
        continue
      }
      depth -= 1
      if sawName || depth < 0 { return false }
    }
    return true
  }

  /// Orders paths by their bytes: the same everywhere, and two names that merely look alike stay
  /// two names (`String` compares what people see).
  package static func isOrdered(_ left: String, before right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
  }
}
