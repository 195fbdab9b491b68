internal import Glibc
internal import IorunCore

/// The attributes with which the kernel's WireGuard is set and read (`linux/wireguard.h`).
enum KernelWireGuardCodec {
  static let family = "wireguard"
  static let getDevice: UInt8 = 0
  static let setDevice: UInt8 = 1
  /// The kernel takes any number of peers over several requests; this many surely fit into one.
  static let peersPerRequest = 64

  private enum Device {
    static let name: UInt16 = 2
    static let privateKey: UInt16 = 3
    static let listenPort: UInt16 = 6
    static let peers: UInt16 = 8
  }

  private enum Peer {
    static let publicKey: UInt16 = 1
    static let presharedKey: UInt16 = 2
    static let flags: UInt16 = 3
    static let endpoint: UInt16 = 4
    static let keepalive: UInt16 = 5
    static let lastHandshake: UInt16 = 6
    static let received: UInt16 = 7
    static let sent: UInt16 = 8
    static let allowedIPs: UInt16 = 9
    static let removeMe: UInt32 = 1
    static let replaceAllowedIPs: UInt32 = 2
    static let updateOnly: UInt32 = 4
  }

  /// Adds an interface's key and port to a request.
  static func encode(
    interface: String, privateKey: TunnelPrivateKey? = nil, port: UInt16? = nil,
    changes: [TunnelChange] = [], into message: inout NetlinkMessage
  ) {
    message.attribute(Device.name, text: interface)
    if let privateKey { message.attribute(Device.privateKey, privateKey.bytes) }
    if let port { message.attribute(Device.listenPort, number: port) }
    guard !changes.isEmpty else { return }
    message.nest(Device.peers) { list in
      for change in changes { list.nest(0) { encode(change, into: &$0) } }
    }
  }

  private static func encode(_ change: TunnelChange, into list: inout NetlinkMessage) {
    switch change {
    case .set(let peer):
      list.attribute(Peer.publicKey, peer.publicKey.bytes)
      if let key = peer.presharedKey { list.attribute(Peer.presharedKey, key.bytes) }
      list.attribute(Peer.flags, number: Peer.replaceAllowedIPs)
      if let endpoint = peer.endpoint {
        list.attribute(Peer.endpoint, encode(endpoint.address))
      }
      let seconds = peer.keepalive.map { UInt16(clamping: Int($0 / .seconds(1))) } ?? 0
      list.attribute(Peer.keepalive, number: seconds)
      list.nest(Peer.allowedIPs) { ranges in
        for range in peer.allowedIPs {
          ranges.nest(0) { one in
            one.attribute(1, number: UInt16(range.address.family))
            one.attribute(2, range.network.bytes)
            one.attribute(3, number: UInt8(range.length))
          }
        }
      }
    case .endpoint(let address, let key):
      list.attribute(Peer.publicKey, key.bytes)
      list.attribute(Peer.flags, number: Peer.updateOnly)
      list.attribute(Peer.endpoint, encode(address))
    case .remove(let key):
      list.attribute(Peer.publicKey, key.bytes)
      list.attribute(Peer.flags, number: Peer.removeMe)
    }
  }

  /// A `sockaddr_in` or `sockaddr_in6`.
  static func encode(_ address: SocketAddress) -> [UInt8] {
    var part = NetlinkMessage(type: 0)
    part.append(UInt16(address.isV4 ? AF_INET : AF_INET6))
    part.append(address.port.bigEndian)
    if !address.isV4 { part.append(UInt32(0)) }
    part.append(bytes: address.address)
    part.append(bytes: [UInt8](repeating: 0, count: address.isV4 ? 8 : 4))
    return part.body
  }

  /// Reads a `sockaddr`; `nil` where it is of another family or cut.
  static func address(_ bytes: ArraySlice<UInt8>) -> SocketAddress? {
    guard let family = bytes.number(UInt16.self, at: 0),
      let port = bytes.number(UInt16.self, at: 2)
    else { return nil }
    let isV4 = family == UInt16(AF_INET)
    guard isV4 || family == UInt16(AF_INET6) else { return nil }
    return SocketAddress(
      address: bytes.dropFirst(isV4 ? 4 : 8).prefix(isV4 ? 4 : 16), port: UInt16(bigEndian: port))
  }

  /// The port in the answers to a request for the device.
  static func port(_ answers: [NetlinkAttributes]) -> UInt16? {
    answers.lazy.compactMap { $0.number(Device.listenPort, as: UInt16.self) }.first
  }

  /// What the kernel counted. `now` is its clock's time, in seconds since 1970.
  static func counters(_ answers: [NetlinkAttributes], now: Double) -> [TunnelPublicKey:
    TunnelCounters]
  {
    var counters: [TunnelPublicKey: TunnelCounters] = [:]
    for answer in answers {
      guard let peers = answer[Device.peers] else { continue }
      for (_, value) in NetlinkAttributes(peers).list {
        let peer = NetlinkAttributes(value)
        guard let key = peer[Peer.publicKey].flatMap({ TunnelPublicKey(bytes: $0) }) else {
          continue
        }
        // A peer with many addresses comes in several parts; the later ones have only these.
        guard let sent = peer.number(Peer.sent, as: UInt64.self) else { continue }
        let seconds = peer.number(Peer.lastHandshake, as: Int64.self) ?? 0
        counters[key] = TunnelCounters(
          sentBytes: sent, receivedBytes: peer.number(Peer.received) ?? 0,
          sinceHandshake: seconds == 0 ? nil : .seconds(max(0, now - Double(seconds))),
          endpoint: peer[Peer.endpoint].flatMap(address).map { TunnelEndpoint($0) })
      }
    }
    return counters
  }
}
