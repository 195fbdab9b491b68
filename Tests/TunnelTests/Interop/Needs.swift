import Foundation
import WanLink

/// What tests of real tunnels need.
enum Needs {
  /// Why tunnels cannot be made here; `nil` where they can.
  static let tunnels = NetworkNamespaces.unavailableReason
  /// Why nothing can be compared with Debian's WireGuard here; `nil` where it can.
  static let debianWireGuard: String? = {
    if let tunnels { return tunnels }
    for program in ["wireguard-go", "wg"] {
      let isThere = ["/usr/bin/", "/usr/local/bin/"].contains {
        FileManager.default.isExecutableFile(atPath: $0 + program)
      }
      if !isThere {
        return "interoperation needs \(program) (scripts/install-dependencies.sh --test)"
      }
    }
    return nil
  }()
}
