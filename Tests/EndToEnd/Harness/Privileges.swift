import Foundation

/// What this machine lets a test do.
enum Privileges {
  static var isRoot: Bool { geteuid() == 0 }

  /// True where network namespaces can be made: root, iproute2 and nftables are there.
  static let canMakeNamespaces: Bool =
    isRoot
    && ["ip", "nft"].allSatisfy { program in
      ["/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"].contains {
        FileManager.default.isExecutableFile(atPath: $0 + program)
      }
    }
}
