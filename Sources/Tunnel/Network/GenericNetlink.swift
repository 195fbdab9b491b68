internal import IorunCore

/// One family of generic netlink, found by its name (`linux/genetlink.h`).
struct GenericNetlink: Sendable {
  private let netlink: NetlinkSocket
  private let family: UInt16
  private static let control: UInt16 = 16

  /// Looks for a family. Blocks. Throws `networkSetup` where the kernel has none of that name.
  init(family name: String, in namespace: NetworkNamespace? = nil) throws(IorunError) {
    netlink = try NetlinkSocket(.generic, in: namespace)
    var message = NetlinkMessage(type: Self.control)
    message.appendGeneric(command: 3)
    message.attribute(2, text: name)
    let replies = try netlink.request(message, "find the kernel's \(name)")
    guard let number = replies.first?.attributes(after: 4).number(1, as: UInt16.self) else {
      throw IorunError(.networkSetup, "the kernel's answer names no \(name)")
    }
    family = number
  }

  /// A request of one of the family's commands, without attributes yet.
  func message(_ command: UInt8, flags: UInt16 = 0) -> NetlinkMessage {
    var message = NetlinkMessage(type: family, flags: flags)
    message.appendGeneric(command: command)
    return message
  }

  /// Sends a request. Throws `networkSetup`.
  @discardableResult
  func request(_ message: NetlinkMessage, _ what: String) throws(IorunError) -> [NetlinkAttributes]
  {
    try netlink.request(message, what).map { $0.attributes(after: 4) }
  }
}

extension NetlinkMessage {
  /// Adds a `genlmsghdr` of version 1.
  mutating func appendGeneric(command: UInt8) {
    append(command)
    append(UInt8(1))
    append(UInt16(0))
  }
}
