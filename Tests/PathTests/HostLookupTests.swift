import IorunPath
import Testing

struct HostLookupTests {
  @Test(
    arguments: [
      ("10.1.2.3:7070", "10.1.2.3"), ("head.example:7070", "head.example"),
      ("[fd42:214:7::1]:7070", "fd42:214:7::1"), ("[::1]:7070", "::1"), ("*:7070", "*"),
    ])
  func `a head's address has a host`(address: String, host: String) {
    #expect(HostLookup.host(of: address) == host)
  }
}
