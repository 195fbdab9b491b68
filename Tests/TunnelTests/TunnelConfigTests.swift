import IorunCore
import IorunTunnel
import Testing

@Suite struct TunnelConfigTests {
  @Test("a tunnel has a usable name, MTU and no key or range twice")
  func checks() throws {
    let key = try TunnelPrivateKey()
    let peer = TunnelPeer(
      publicKey: try key.publicKey, allowedIPs: try [#require(IPPrefix("10.1.0.2/32"))])
    var config = TunnelConfig(
      interfaceName: "iowg0", privateKey: key, addresses: [], peers: [peer])
    try config.check()
    config.mtu = 1279
    #expect(throws: IorunError.self) { try config.check() }
    config.mtu = 1380
    config.interfaceName = "a/b"
    #expect(throws: IorunError.self) { try config.check() }
    config.interfaceName = "iowg0"
    config.peers = [peer, peer]
    #expect(throws: IorunError.self) { try config.check() }
    var other = peer
    other.publicKey = try TunnelPrivateKey().publicKey
    config.peers = [peer, other]
    #expect(throws: IorunError.self) { try config.check() }
  }

  @Test("a narrow way leaves room for IPv6, UDP, WireGuard and a relay's header, and no more")
  func mtu() {
    // 40 + 8 + 16 (header) + 16 (tag), and the 8 bytes of `TunnelEndpoint.RelayHeader`.
    #expect(TunnelConfig.mtu(onPath: 1400) == 1400 - 88)
    #expect(TunnelConfig.mtu(onPath: 1468) == 1380)
    #expect(TunnelConfig.mtu(onPath: 1500) == 1380)
    #expect(TunnelConfig.mtu(onPath: 1300) == 1280, "IPv6 needs that much")
  }

  @Test("a key's public half is RFC 7748's")
  func publicKey() throws {
    let secret: [UInt8] = [
      0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66,
      0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9,
      0x2c, 0x2a,
    ]
    let key = try #require(TunnelPrivateKey(bytes: secret))
    #expect(try key.publicKey.bytes.prefix(4) == [0x85, 0x20, 0xf0, 0x09])
    let text = try key.publicKey.description
    #expect(TunnelPublicKey(text) == (try key.publicKey))
    #expect(!String(describing: key).contains(key.secretText))
  }
}
