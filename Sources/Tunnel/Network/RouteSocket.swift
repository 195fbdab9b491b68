internal import Glibc
public import IorunCore

/// Interfaces, addresses and routes of one network namespace, by rtnetlink (RFC 3549). Every call
/// blocks for as long as the kernel takes.
public struct RouteSocket: Sendable {
  /// One interface.
  public struct Link: Hashable, Sendable {
    /// Its number.
    public var index: Int32
    /// Its name, at most 15 bytes.
    public var name: String
    /// Its kind (`tun`, `veth`, `wireguard`), where it has one.
    public var kind: String?
    /// The largest packet that it takes, in bytes.
    public var mtu: UInt32
    /// Whether it is up.
    public var isUp: Bool
  }

  private let netlink: NetlinkSocket

  /// The longest name of an interface, in bytes (IFNAMSIZ less the zero byte).
  public static let longestName = 15
  private static let up = UInt32(IFF_UP)

  /// Speaks to `namespace`, else to the one of this process. Throws `networkSetup`.
  public init(in namespace: NetworkNamespace? = nil) throws(IorunError) {
    netlink = try NetlinkSocket(.route, in: namespace)
  }

  // MARK: links

  /// All interfaces. Throws `networkSetup`.
  public func links() throws(IorunError) -> [Link] {
    var message = NetlinkMessage(type: RouteNumber.getLink, flags: NetlinkFlags.dump)
    message.appendLink(index: 0)
    return try netlink.request(message, "list the interfaces").compactMap(Self.link)
  }

  /// The interface of that name. Throws `notFound` and `networkSetup`.
  public func link(_ name: String) throws(IorunError) -> Link {
    guard let link = try links().first(where: { $0.name == name }) else {
      throw IorunError(.notFound, "there is no interface \(name)")
    }
    return link
  }

  /// Makes an interface of a kind that needs nothing more, such as `wireguard`, in `namespace`. Its
  /// own sockets stay in the namespace of this socket. Throws `networkSetup`.
  public func makeLink(_ name: String, kind: String, in namespace: NetworkNamespace? = nil)
    throws(IorunError)
  {
    var message = NetlinkMessage(
      type: RouteNumber.newLink, flags: NetlinkFlags.create | NetlinkFlags.exclusive)
    message.appendLink(index: 0)
    message.attribute(RouteNumber.linkName, text: try Self.checked(name))
    if let namespace {
      message.attribute(RouteNumber.linkNamespace, number: namespace.descriptor)
    }
    message.nest(RouteNumber.linkInfo) { $0.attribute(RouteNumber.infoKind, text: kind) }
    try netlink.request(message, "make the \(kind) interface \(name)")
  }

  /// Makes a wire: `name` here and `peer` in `namespace`. Throws `networkSetup`.
  public func makePair(_ name: String, peer: String, in namespace: NetworkNamespace)
    throws(IorunError)
  {
    let peer = try Self.checked(peer)
    var message = NetlinkMessage(
      type: RouteNumber.newLink, flags: NetlinkFlags.create | NetlinkFlags.exclusive)
    message.appendLink(index: 0)
    message.attribute(RouteNumber.linkName, text: try Self.checked(name))
    message.nest(RouteNumber.linkInfo) { info in
      info.attribute(RouteNumber.infoKind, text: "veth")
      info.nest(RouteNumber.infoData) { data in
        data.nest(RouteNumber.pairPeer) { end in
          end.appendLink(index: 0)
          end.attribute(RouteNumber.linkName, text: peer)
          end.attribute(RouteNumber.linkNamespace, number: namespace.descriptor)
        }
      }
    }
    try netlink.request(message, "make the wire \(name)")
  }

  /// Gives an interface to `namespace` under another name. What it holds open (a UDP socket, a TUN
  /// descriptor) goes on working where it was made. Throws `networkSetup`.
  public func move(_ link: Link, to namespace: NetworkNamespace, as name: String)
    throws(IorunError)
  {
    var message = NetlinkMessage(type: RouteNumber.setLink)
    message.appendLink(index: link.index)
    message.attribute(RouteNumber.linkNamespace, number: namespace.descriptor)
    message.attribute(RouteNumber.linkName, text: try Self.checked(name))
    try netlink.request(message, "move the interface \(link.name)")
  }

  /// Brings an interface up, with packets of at most `mtu` bytes. Throws `networkSetup`.
  public func bringUp(_ link: Link, mtu: Int? = nil) throws(IorunError) {
    var message = NetlinkMessage(type: RouteNumber.setLink)
    message.appendLink(index: link.index, flags: Self.up, change: Self.up)
    if let mtu { message.attribute(RouteNumber.linkMTU, number: UInt32(clamping: mtu)) }
    try netlink.request(message, "bring the interface \(link.name) up")
  }

  /// Removes an interface. Throws `networkSetup`.
  public func remove(_ link: Link) throws(IorunError) {
    var message = NetlinkMessage(type: RouteNumber.deleteLink)
    message.appendLink(index: link.index)
    try netlink.request(message, "remove the interface \(link.name)")
  }

  // MARK: addresses and routes

  /// Gives an interface an address; its net gets a route with it. Throws `networkSetup`.
  public func addAddress(_ prefix: IPPrefix, to link: Link) throws(IorunError) {
    var message = NetlinkMessage(
      type: RouteNumber.newAddress, flags: NetlinkFlags.create | NetlinkFlags.exclusive)
    message.append(prefix.address.family)
    message.append(UInt8(prefix.length))
    // No duplicate address detection: nobody else may have the address, and waiting costs a second.
    message.append(UInt8(0x02))
    message.append(UInt8(0))
    message.append(UInt32(link.index))
    message.attribute(RouteNumber.addressLocal, prefix.address.bytes)
    message.attribute(RouteNumber.addressPrefix, prefix.address.bytes)
    try netlink.request(message, "give \(link.name) the address \(prefix)")
  }

  /// Sends what is for `prefix` out of an interface. Throws `networkSetup`.
  public func addRoute(to prefix: IPPrefix, through link: Link) throws(IorunError) {
    var message = NetlinkMessage(
      type: RouteNumber.newRoute, flags: NetlinkFlags.create | NetlinkFlags.replace)
    message.append(prefix.address.family)
    message.append(UInt8(prefix.length))
    message.append(UInt16(0))
    // Table main, protocol static, scope link, a plain route.
    message.append(bytes: [254, 4, 253, 1])
    message.append(UInt32(0))
    message.attribute(RouteNumber.routeDestination, prefix.network.bytes)
    message.attribute(RouteNumber.routeOutput, number: UInt32(link.index))
    try netlink.request(message, "make a route to \(prefix)")
  }

  /// Every address of every interface, with the length of its net. Throws `networkSetup`.
  public func addresses() throws(IorunError) -> [IPPrefix] {
    var message = NetlinkMessage(type: RouteNumber.getAddress, flags: NetlinkFlags.dump)
    message.append(UInt64(0))
    return try netlink.request(message, "list the addresses").compactMap { reply in
      guard reply.type == RouteNumber.newAddress, reply.payload.count >= 8 else { return nil }
      let attributes = reply.attributes(after: 8)
      let bytes = attributes[RouteNumber.addressLocal] ?? attributes[RouteNumber.addressPrefix]
      return bytes.flatMap { IPAddress(bytes: $0) }.flatMap {
        IPPrefix($0, length: Int(reply.payload[1]))
      }
    }
  }

  /// Where the main table's routes lead, the default one left out. Throws `networkSetup`.
  public func routes() throws(IorunError) -> [IPPrefix] {
    var message = NetlinkMessage(type: RouteNumber.getRoute, flags: NetlinkFlags.dump)
    message.append(UInt64(0))
    message.append(UInt32(0))
    return try netlink.request(message, "list the routes").compactMap { reply in
      let payload = reply.payload
      // Byte 4 is the table (254: main), byte 7 the kind (1: plain).
      guard reply.type == RouteNumber.newRoute, payload.count >= 12, payload[4] == 254,
        payload[7] == 1, payload[1] > 0,
        let bytes = reply.attributes(after: 12)[RouteNumber.routeDestination]
      else { return nil }
      return IPAddress(bytes: bytes).flatMap { IPPrefix($0, length: Int(payload[1])) }
    }
  }

  private static func link(_ reply: NetlinkReply) -> Link? {
    guard reply.type == RouteNumber.newLink,
      let index = reply.payload[...].number(Int32.self, at: 4),
      let flags = reply.payload[...].number(UInt32.self, at: 8)
    else { return nil }
    let attributes = reply.attributes(after: 16)
    guard let name = attributes.text(RouteNumber.linkName) else { return nil }
    let kind = attributes[RouteNumber.linkInfo].flatMap {
      NetlinkAttributes($0).text(RouteNumber.infoKind)
    }
    return Link(
      index: index, name: name, kind: kind, mtu: attributes.number(RouteNumber.linkMTU) ?? 0,
      isUp: flags & up != 0)
  }

  private static func checked(_ name: String) throws(IorunError) -> String {
    guard (1...longestName).contains(name.utf8.count),
      !name.utf8.contains(where: { $0 <= 32 || $0 == UInt8(ascii: "/") })
    else { throw IorunError(.networkSetup, "'\(name)' is no name for an interface") }
    return name
  }
}

/// The numbers of `linux/rtnetlink.h` and `linux/if_link.h` that we use.
enum RouteNumber {
  static let newLink: UInt16 = 16
  static let deleteLink: UInt16 = 17
  static let getLink: UInt16 = 18
  static let setLink: UInt16 = 19
  static let newAddress: UInt16 = 20
  static let getAddress: UInt16 = 22
  static let newRoute: UInt16 = 24
  static let getRoute: UInt16 = 26
  static let linkName: UInt16 = 3
  static let linkMTU: UInt16 = 4
  static let linkInfo: UInt16 = 18
  static let linkNamespace: UInt16 = 28
  static let infoKind: UInt16 = 1
  static let infoData: UInt16 = 2
  static let pairPeer: UInt16 = 1
  static let addressPrefix: UInt16 = 1
  static let addressLocal: UInt16 = 2
  static let routeDestination: UInt16 = 1
  static let routeOutput: UInt16 = 4
}

extension NetlinkMessage {
  /// Adds an `ifinfomsg`.
  fileprivate mutating func appendLink(index: Int32, flags: UInt32 = 0, change: UInt32 = 0) {
    append(UInt32(0))
    append(index)
    append(flags)
    append(change)
  }
}

extension IPAddress {
  /// The family's number for the kernel.
  var family: UInt8 { UInt8(isIPv6 ? AF_INET6 : AF_INET) }
}
