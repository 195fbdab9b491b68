import IorunCore
import Testing

@testable import IorunTunnel

@Suite struct `The kernel's WireGuard` {
  @Test func `is set with the attributes of linux/wireguard.h`() throws {
    let key = try #require(TunnelPublicKey(bytes: [UInt8](repeating: 0x11, count: 32)))
    let secret = try #require(TunnelPrivateKey(bytes: [UInt8](repeating: 0x22, count: 32)))
    let shared = try #require(TunnelPresharedKey(bytes: [UInt8](repeating: 0x33, count: 32)))
    let range = try #require(IPPrefix("100.64.1.2/32"))
    let endpoint = SocketAddress(v4: 192, 0, 2, 7, port: 51820)
    let peer = TunnelPeer(
      publicKey: key, presharedKey: shared, allowedIPs: [range],
      endpoint: TunnelEndpoint(endpoint), keepalive: .seconds(25))
    var message = NetlinkMessage(type: 0)
    message.appendGeneric(command: KernelWireGuardCodec.setDevice)
    KernelWireGuardCodec.encode(
      interface: "iorun0", privateKey: secret, port: 4242, changes: [.set(peer)], into: &message)
    func filled(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 32) }
    let expected: [UInt8] =
      [1, 1, 0, 0]  // WG_CMD_SET_DEVICE, version 1
      + [11, 0, 2, 0] + Array("iorun0".utf8) + [0, 0]  // IFNAME
      + [36, 0, 3, 0] + filled(0x22)  // PRIVATE_KEY
      + [6, 0, 6, 0, 0x92, 0x10, 0, 0]  // LISTEN_PORT
      + [148, 0, 8, 0x80]  // PEERS
      + [144, 0, 0, 0x80]
      + [36, 0, 1, 0] + filled(0x11)  // PUBLIC_KEY
      + [36, 0, 2, 0] + filled(0x33)  // PRESHARED_KEY
      + [8, 0, 3, 0, 2, 0, 0, 0]  // FLAGS: replace the allowed addresses
      + [20, 0, 4, 0, 2, 0, 0xca, 0x6c, 192, 0, 2, 7] + [UInt8](repeating: 0, count: 8)  // ENDPOINT
      + [6, 0, 5, 0, 25, 0, 0, 0]  // PERSISTENT_KEEPALIVE_INTERVAL
      + [32, 0, 9, 0x80, 28, 0, 0, 0x80]  // ALLOWEDIPS
      + [6, 0, 1, 0, 2, 0, 0, 0]  // FAMILY
      + [8, 0, 2, 0, 100, 64, 1, 2]  // IPADDR
      + [5, 0, 3, 0, 32, 0, 0, 0]  // CIDR_MASK
    #expect(message.body == expected)
  }

  @Test func `tells what it counted`() throws {
    let key = try #require(TunnelPublicKey(bytes: [UInt8](repeating: 7, count: 32)))
    let six = try #require(SocketAddress("[fd00::1]:9"))
    var message = NetlinkMessage(type: 0)
    message.attribute(6, number: UInt16(4242))
    message.nest(8) { peers in
      peers.nest(0) { peer in
        peer.attribute(1, key.bytes)
        peer.attribute(4, KernelWireGuardCodec.encode(six))
        peer.attribute(6, [100, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 8))
        peer.attribute(7, number: UInt64(11))
        peer.attribute(8, number: UInt64(12))
      }
    }
    let answer = [NetlinkAttributes(message.body)]
    #expect(KernelWireGuardCodec.port(answer) == 4242)
    let counted = KernelWireGuardCodec.counters(answer, now: 103)[key]
    #expect(counted?.receivedBytes == 11 && counted?.sentBytes == 12)
    #expect(counted?.sinceHandshake == .seconds(3))
    #expect(counted?.endpoint == TunnelEndpoint(six))
  }
}
