import Foundation
import IorunCore
import Testing

@testable import IorunPath

/// Which of a peer's addresses takes a connection.
@Suite("Addresses that TCP reaches")
struct TCPReachTests {
  /// A socket that listens on a port of the kernel's choice.
  private struct Listener: ~Copyable {
    let descriptor: Int32
    let address: SocketAddress

    init() throws {
      let listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var place = sockaddr_in()
      place.sin_family = sa_family_t(AF_INET)
      place.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let size = length
      let (bound, named) = withUnsafeMutablePointer(to: &place) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
          (bind(listening, name, size), getsockname(listening, name, &length))
        }
      }
      try #require(bound == 0 && named == 0 && listen(listening, 4) == 0)
      descriptor = listening
      address = SocketAddress(v4: 127, 0, 0, 1, port: UInt16(bigEndian: place.sin_port))
    }

    deinit { close(descriptor) }
  }

  @Test("the one that answers is found among some that refuse or say nothing")
  func first() throws {
    let listener = try Listener()
    let closed = try Listener().address
    // TEST-NET-1 (RFC 5737): nobody answers there, or the kernel has no way.
    let silent = SocketAddress(v4: 192, 0, 2, 77, port: 9)
    let found = TCPReach.first(
      of: [closed, silent, listener.address, closed], within: .seconds(20))
    #expect(found == listener.address)
  }

  @Test("where several answer, the list's order counts; where none does, there is none")
  func order() throws {
    let one = try Listener()
    let other = try Listener()
    #expect(
      TCPReach.first(of: [one.address, other.address], within: .seconds(20)) == one.address)
    #expect(
      TCPReach.first(of: [other.address, one.address], within: .seconds(20)) == other.address)
    let closed = try Listener().address
    #expect(TCPReach.first(of: [closed, closed], within: .seconds(20)) == nil)
    #expect(TCPReach.first(of: [], within: .seconds(20)) == nil)
  }
}
