internal import Glibc

/// How many files and sockets this process may have open.
public enum OpenFileLimit {
  /// Raises the soft limit, usually 1,024, to `wanted` or as near as the hard one lets: a head has a
  /// socket for every peer. Never lowers it.
  public static func raise(to wanted: UInt = 65_536) {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return }
    limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, wanted))
    // Where that is refused the old limit holds, and who runs into it says so.
    _ = setrlimit(resource, &limit)
  }
}
