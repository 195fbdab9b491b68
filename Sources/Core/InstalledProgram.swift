internal import Glibc

/// Programs of the machine's own, where its administrators put them: `PATH`, which users set, is not asked.
public enum InstalledProgram {
  /// The folders that are looked through, in order.
  public static let folders = [
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
  ]

  /// Where a program is; `nil` where it is not installed.
  public static func find(_ name: String) -> String? {
    folders.map { $0 + "/" + name }.first { (path: String) in access(path, X_OK) == 0 }
  }
}
