import Foundation
import Glibc
import Synchronization
import Testing
import WanLink

/// Reads every frame that passes a switch, as one who has the wire in hand would.
final class SwitchTap: Sendable {
  private struct Seen {
    var markers: Set<String> = []
    var (direct, relayed) = (0, 0)
    var isStopped = false
  }

  private let seen = Mutex(Seen())
  private let descriptor: Int32

  /// Begins to read in a namespace and to look for `markers`.
  init(_ namespaces: NetworkNamespaces, in role: String, markers: [String]) throws {
    // 3 is ETH_P_ALL, in network order.
    descriptor = try namespaces.socket(
      in: role, domain: AF_PACKET, type: Int32(SOCK_RAW.rawValue), protocol: 3 << 8)
    var patience = timeval(tv_sec: 0, tv_usec: 100_000)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var size = Int32(32 << 20)
    // 33 is SO_RCVBUFFORCE: a busy machine must not lose frames.
    setsockopt(descriptor, SOL_SOCKET, 33, &size, socklen_t(MemoryLayout<Int32>.size))
    let patterns = markers.map { ($0, Data($0.utf8)) }
    Thread { self.read(patterns) }.start()
  }

  /// Which of the markers passed in clear.
  var markers: Set<String> { seen.withLock { $0.markers } }
  /// How many frames carried WireGuard's data packets from member to member.
  var direct: Int { seen.withLock { $0.direct } }
  /// How many frames carried them by a relay, as the first ones of a pair go.
  var relayed: Int { seen.withLock { $0.relayed } }

  /// Ends the reading.
  func stop() { seen.withLock { $0.isStopped = true } }

  private func read(_ patterns: [(String, Data)]) {
    var buffer = [UInt8](repeating: 0, count: 70_000)
    while !seen.withLock({ $0.isStopped }) {
      let size = recv(descriptor, &buffer, buffer.count, 0)
      guard size > 0 else { continue }
      let frame = Data(buffer.prefix(size))
      let found = patterns.filter { frame.range(of: $0.1) != nil }.map(\.0)
      // Ethernet, IPv4 without options or IPv6, UDP, perhaps a relay's header, then type 4 and
      // three zero bytes.
      let isV4 = size > 54 && frame[12] == 8 && frame[13] == 0 && frame[23] == 17
      let isV6 = size > 74 && frame[12] == 0x86 && frame[13] == 0xdd && frame[20] == 17
      let isUDP = isV4 || isV6
      let message = isV6 ? 62 : 42
      func isData(at start: Int) -> Bool { frame[start..<start + 4].elementsEqual([4, 0, 0, 0]) }
      seen.withLock { seen in
        seen.markers.formUnion(found)
        if isUDP, isData(at: message) { seen.direct += 1 }
        if isUDP, frame[message] == 0x9D, isData(at: message + 8) { seen.relayed += 1 }
      }
    }
    close(descriptor)
  }
}
