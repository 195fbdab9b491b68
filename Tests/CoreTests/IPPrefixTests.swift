import IorunCore
import Testing

@Suite struct IPPrefixTests {
  @Test("an address is read and written", arguments: ["10.1.2.3", "::1", "fd00:1::2", "0.0.0.0"])
  func text(_ text: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == text)
    #expect(IPAddress(bytes: address.bytes) == address)
    #expect(SocketAddress(address, port: 7).ip == address)
  }

  @Test(
    "what is no address is refused", arguments: ["", "10.1.2", "10.1.2.256", "host", "1::2::3"])
  func garbage(_ text: String) { #expect(IPAddress(text) == nil) }

  @Test("a range contains what agrees in its first bits")
  func contains() throws {
    let net = try #require(IPPrefix("10.1.2.77/20"))
    #expect(net.masked.description == "10.1.0.0/20")
    #expect(net.contains(try #require(IPAddress("10.1.15.255"))))
    #expect(!net.contains(try #require(IPAddress("10.1.16.0"))))
    #expect(!net.contains(try #require(IPAddress("::1"))))
    let six = try #require(IPPrefix("fd00:1:2:3:4::/72"))
    #expect(six.contains(try #require(IPAddress("fd00:1:2:3:4ff::"))) == false)
    #expect(six.contains(try #require(IPAddress("fd00:1:2:3:0:ff::"))))
    #expect(try #require(IPPrefix("0.0.0.0/0")).contains(try #require(IPAddress("255.1.1.1"))))
    #expect(try #require(IPPrefix("::/0")).contains(try #require(IPAddress("fd00::"))))
    #expect(IPPrefix("10.0.0.0/33") == nil)
    #expect(IPPrefix("10.0.0.0/-1") == nil)
    #expect(IPPrefix("10.0.0.1")?.length == 32)
  }

  @Test("ranges overlap where one lies in the other")
  func overlaps() throws {
    let wide = try #require(IPPrefix("10.0.0.0/8"))
    let narrow = try #require(IPPrefix("10.2.0.0/24"))
    #expect(wide.overlaps(narrow) && narrow.overlaps(wide))
    #expect(!narrow.overlaps(try #require(IPPrefix("10.2.1.0/24"))))
  }
}
