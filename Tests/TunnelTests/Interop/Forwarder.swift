import Foundation
import Glibc
import Synchronization

/// A UDP port between two ends that a test controls: it forwards what comes, as often as it likes.
final class Forwarder: Sendable {
  /// What becomes of a datagram on its way: the datagrams that are sent on.
  typealias Rule = @Sendable (_ datagram: [UInt8], _ isFromFirst: Bool) -> [[UInt8]]

  let port: UInt16
  private let descriptor: Int32
  private let seen = Mutex<[[UInt8]]>([])
  private let isOver = Mutex(false)
  private let ended = DispatchSemaphore(value: 0)

  /// Forwards between two ports of 127.0.0.1.
  init(between first: UInt16, and second: UInt16, rule: @escaping Rule) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    self.descriptor = descriptor
    guard Stream.withAddress("127.0.0.1", 0, { Int(bind(descriptor, $0, $1)) }) == 0 else {
      throw Stream.Failed("bind")
    }
    var time = timeval(tv_sec: 0, tv_usec: 50_000)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, 16)
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = getsockname(descriptor, $0, &length)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { self.run(first, second, rule) }
  }

  /// All datagrams that came.
  var datagrams: [[UInt8]] { seen.withLock { $0 } }

  func end() {
    isOver.withLock { $0 = true }
    ended.wait()
    close(descriptor)
  }

  private func run(_ first: UInt16, _ second: UInt16, _ rule: Rule) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while !isOver.withLock({ $0 }) {
      var source = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let count = withUnsafeMutablePointer(to: &source) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          recvfrom(descriptor, &buffer, buffer.count, 0, $0, &length)
        }
      }
      guard count > 0 else { continue }
      let datagram = Array(buffer[..<count])
      seen.withLock { if $0.count < 10_000 { $0.append(datagram) } }
      let isFromFirst = UInt16(bigEndian: source.sin_port) == first
      for bytes in rule(datagram, isFromFirst) {
        _ = Stream.withAddress("127.0.0.1", isFromFirst ? second : first) {
          sendto(descriptor, bytes, bytes.count, 0, $0, $1)
        }
      }
    }
    ended.signal()
  }
}
