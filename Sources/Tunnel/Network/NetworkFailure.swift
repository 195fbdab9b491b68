internal import Glibc
internal import IorunCore

/// Says why the kernel did not do what a gang's network needs.
enum NetworkFailure {
  /// `networkSetup` with the kernel's reason, or `addressInUse` for a port that is taken.
  static func error(_ what: String, errno number: Int32) -> IorunError {
    let reason = String(cString: strerror(number))
    switch number {
    case EPERM, EACCES:
      return IorunError(
        .networkSetup, "\(what): \(reason)",
        remedy: "Run the node as root, or give it CAP_NET_ADMIN and CAP_SYS_ADMIN")
    case EADDRINUSE:
      return IorunError(
        .addressInUse, "\(what): \(reason)",
        remedy: "Leave the port to the system, or end who has it")
    case EOPNOTSUPP, ENOENT, ENODEV, EPROTONOSUPPORT, EAFNOSUPPORT:
      return IorunError(
        .networkSetup, "\(what): \(reason)",
        remedy: "The kernel lacks a part (nf_tables, tun or wireguard): load its module")
    default:
      return IorunError(.networkSetup, "\(what): \(reason)")
    }
  }
}
