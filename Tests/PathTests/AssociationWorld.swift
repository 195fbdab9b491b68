import Foundation
import IorunCore
import IorunCrypto
import Synchronization

@testable import IorunPath

/// Two ends of a path in memory that drops and delays datagrams by a seed, each with its bridge.
final class AssociationWorld: Sendable {
  /// What happens to datagrams on the way.
  struct Faults: Sendable {
    var loss = 0.0
    /// The longest delay; each has one of its own, so that they overtake each other.
    var delay = Duration.zero
    var seed: UInt64 = 1
  }

  /// A socket in memory: what is sent comes to the other end's table.
  final class Line: DatagramChannel {
    let port: UInt16 = 1
    let isCut = Mutex(false)
    let sent = Mutex(0)
    private let faults: Faults
    private let random: Mutex<SplitMix>
    private let queue = DispatchQueue(label: "line")
    private let other = Mutex<AssociationTable?>(nil)

    init(_ faults: Faults) {
      self.faults = faults
      random = Mutex(SplitMix(state: faults.seed))
    }

    func connect(to table: AssociationTable) { other.withLock { $0 = table } }

    func send(_ datagram: [UInt8], to address: SocketAddress, timeToLive: Int?) {
      sent.withLock { $0 += 1 }
      let (isLost, part) = random.withLock { random in
        (Double(random.next() % 1_000_000) / 1e6 < faults.loss, Double(random.next() % 1000) / 1000)
      }
      guard !isLost, !isCut.withLock({ $0 }), let table = other.withLock({ $0 }) else { return }
      let delay = faults.delay * part / .microseconds(1)
      queue.asyncAfter(deadline: .now() + .microseconds(Int(delay))) { _ = table.take(datagram) }
    }

    func onDatagram(_ handler: (@Sendable ([UInt8], SocketAddress) -> Void)?) {}
  }

  let lines: [Line]
  let tables: [AssociationTable]
  let paths: [AssociationPath]
  let bridges: [PathBridge]
  static let route = PathRoute(SocketAddress(v4: 192, 0, 2, 1, port: 1))

  /// - Parameter target: where streams lead at either end.
  init(_ faults: Faults = Faults(), target: SocketAddress, hasRoute: Bool = true) throws {
    let keys = [try X25519(), try X25519()]
    tables = [AssociationTable(), AssociationTable()]
    var other = faults
    other.seed &+= 1
    lines = [Line(faults), Line(other)]
    paths = try [0, 1].map { [lines] end in
      AssociationPath(
        over: lines[end],
        seal: try AssociationSeal(own: keys[end], peer: keys[1 - end].publicKey, context: [7]))
    }
    bridges = try [0, 1].map { [paths, tables] end in
      try PathBridge(
        over: paths[end], in: tables[end],
        as: SocketAddress(v4: 127, 64, 0, UInt8(end + 1), port: 0),
        to: target)
    }
    for end in [0, 1] {
      lines[end].connect(to: tables[1 - end])
      if hasRoute { bridges[end].setRoute(Self.route) }
    }
  }

  func stop() { for bridge in bridges { bridge.stop() } }
}

/// A TCP stream whose calls block: for threads of a test.
struct BlockingStream: Sendable {
  let descriptor: Int32

  static func connect(to address: SocketAddress) throws -> BlockingStream {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var place = Self.place(address)
    let result = withUnsafePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw IorunError(.unreachable, "no connection to \(address)") }
    return BlockingStream(descriptor: descriptor)
  }

  static func place(_ address: SocketAddress) -> sockaddr_in {
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_port = address.port.bigEndian
    withUnsafeMutableBytes(of: &place.sin_addr) { $0.copyBytes(from: address.address) }
    return place
  }

  /// Sends all; false where the stream is over.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var at = 0
    while at < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress?.advanced(by: at), bytes.count - at, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      at += count
    }
    return true
  }

  /// At most `count` bytes; empty at the end, and where the stream broke.
  func receive(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = recv(descriptor, &bytes, count, 0)
    return Array(bytes.prefix(max(got, 0)))
  }

  func receive(exactly count: Int) -> [UInt8] {
    var all: [UInt8] = []
    while all.count < count {
      let piece = receive(min(count - all.count, 65_536))
      guard !piece.isEmpty else { break }
      all += piece
    }
    return all
  }

  func shut() { close(descriptor) }
}

/// A TCP port whose connections are served by a function, each on a thread of its own.
final class StreamServer: Sendable {
  let address: SocketAddress
  /// The address that the last connection came from.
  let lastSource = Mutex<[UInt8]>([])
  private let listener: Int32

  init(_ serve: @escaping @Sendable (BlockingStream) -> Void) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var place = BlockingStream.place(SocketAddress(v4: 127, 0, 0, 1, port: 0))
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = withUnsafeMutablePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { place -> Int32 in
        guard bind(listener, place, length) == 0, listen(listener, 8) == 0,
          getsockname(listener, place, &length) == 0
        else { return -1 }
        return 0
      }
    }
    guard port == 0 else { throw IorunError(.internalFault, "no listener") }
    self.listener = listener
    address = SocketAddress(v4: 127, 0, 0, 1, port: UInt16(bigEndian: place.sin_port))
    Thread.detachNewThread { [self] in
      while true {
        var from = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let stream = withUnsafeMutablePointer(to: &from) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { accept(listener, $0, &length) }
        }
        guard stream >= 0 else { return }
        let source = withUnsafeBytes(of: from.sin_addr) { Array($0) }
        lastSource.withLock { $0 = source }
        Thread.detachNewThread {
          serve(BlockingStream(descriptor: stream))
          close(stream)
        }
      }
    }
  }

  func shut() {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }
}

struct NotInTime: Error, CustomStringConvertible {
  var description: String
}

/// Waits until `condition` holds; throws after `limit`.
func eventually(
  _ what: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + limit
  while ContinuousClock.now < deadline {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(10))
  }
  throw NotInTime(description: "not within \(limit): \(what)")
}
