import IorunCore
import Testing

@Suite("Socket addresses")
struct SocketAddressTests {
  @Test(
    "what is written is read again",
    arguments: ["192.0.2.1:7070", "[2001:db8:0:0:0:0:0:1]:65535", "[::1]:1", "0.0.0.0:0"])
  func text(_ text: String) throws {
    let address = try #require(SocketAddress(text))
    #expect(SocketAddress(address.description) == address)
    let read = try #require(SocketAddress.read(address.bytes[...]))
    #expect(read.0 == address)
    #expect(read.byteCount == address.bytes.count)
  }

  @Test(
    "nonsense is refused",
    arguments: [
      "", "1.2.3:4", "1.2.3.4", "1.2.3.4.5:6", "256.1.1.1:1", "1.2.3.4:65536", "[1:2]:3", "[:::]:1",
      "[1::2::3]:4", "[12345::]:1", "host:80", "[0:0:0:0:0:0:0:0:0]:1",
    ])
  func nonsense(_ text: String) { #expect(SocketAddress(text) == nil) }

  @Test("a mapped IPv4 address is an IPv4 address")
  func mapped() {
    #expect(SocketAddress("[::ffff:192.0.2.1]:5") == SocketAddress("192.0.2.1:5"))
  }

  @Test("private, loopback, link-local and unusable addresses are known")
  func kinds() throws {
    for text in ["10.1.2.3:1", "172.16.0.1:1", "192.168.0.1:1", "100.64.1.1:1", "[fd00::1]:1"] {
      #expect(try #require(SocketAddress(text)).isPrivate)
    }
    for text in ["9.1.2.3:1", "172.32.0.1:1", "100.128.0.1:1", "[2001:db8::1]:1"] {
      #expect(try !#require(SocketAddress(text)).isPrivate)
    }
    #expect(try #require(SocketAddress("[fe80::1]:1")).isLinkLocal)
    #expect(try #require(SocketAddress("224.0.0.1:1")).isUnusable)
    #expect(try #require(SocketAddress("1.2.3.4:0")).isUnusable)
  }

  @Test("that stand for peers are of loopback, the same for one peer, and known as such")
  func standIns() {
    let (one, other) = (PeerID(high: 1, low: .max), PeerID(high: 1, low: 0))
    #expect(SocketAddress.standIn(for: one).host == "127.127.255.255")
    #expect(SocketAddress.standIn(for: other).host == "127.64.0.0")
    for peer in [one, other] {
      let address = SocketAddress.standIn(for: peer)
      #expect(address.isLoopback && address.port == 0)
      #expect(SocketAddress.isStandIn(address.host.utf8))
    }
    for text in ["127.0.0.1", "127.63.255.255", "127.128.0.1", "128.64.0.1", "127.", "", "127.x.1"]
    {
      #expect(!SocketAddress.isStandIn(text.utf8), "\(text)")
    }
  }
}
