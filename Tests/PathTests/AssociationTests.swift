import Foundation
import IorunCore
import IorunCrypto
import Synchronization
import TestSupport
import Testing

@testable import IorunPath

@Suite("Associations", .timeLimit(.minutes(3)), .serialized)
struct AssociationTests {
  /// Bytes that differ at every place, so that one lost, repeated or out of its place shows.
  private static func pattern(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix(state: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count { withUnsafeBytes(of: random.next()) { bytes += $0 } }
    return Array(bytes.prefix(count))
  }

  /// What comes back of bytes from a server that sends what it gets.
  private static func echo(_ bytes: [UInt8], over stream: BlockingStream) async throws -> [UInt8] {
    try await Blocking.run {
      Thread.detachNewThread { stream.send(bytes) }
      return stream.receive(exactly: bytes.count)
    }
  }

  @Test("carry 10 MiB both ways in order, with every twentieth datagram lost and all out of order")
  func lossy() async throws {
    let count = 10 << 20
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    let (there, back) = (Self.pattern(count, seed: 3), Self.pattern(count, seed: 4))
    let arrived = Mutex<[UInt8]>([])
    let server = try StreamServer { stream in
      Thread.detachNewThread { stream.send(back) }
      let all = stream.receive(exactly: count)
      arrived.withLock { $0 = all }
      _ = stream.receive(1)
    }
    defer { server.shut() }
    let world = try AssociationWorld(
      .init(loss: 0.05, delay: .milliseconds(3), seed: seed), target: server.address)
    defer { world.stop() }
    let got = try await Blocking.run {
      let stream = try BlockingStream.connect(to: world.bridges[0].address)
      Thread.detachNewThread { stream.send(there) }
      return stream.receive(exactly: count)
    }
    #expect(got == back)
    try await eventually("the other direction has arrived", within: .seconds(60)) {
      arrived.withLock { !$0.isEmpty }
    }
    #expect(arrived.withLock { $0 } == there)
    #expect(server.lastSource.withLock { $0 } == [127, 64, 0, 2], "it counts as the peer's")
  }

  @Test("deliver what was sent before the end, and then the end")
  func end() async throws {
    let bytes = Self.pattern(3 << 20, seed: 5)
    let server = try StreamServer { $0.send(bytes) }
    defer { server.shut() }
    let world = try AssociationWorld(.init(loss: 0.02), target: server.address)
    defer { world.stop() }
    let got = try await Blocking.run {
      let stream = try BlockingStream.connect(to: world.bridges[0].address)
      defer { stream.shut() }
      let all = stream.receive(exactly: bytes.count)
      return (all, stream.receive(1))
    }
    #expect(got.0 == bytes)
    #expect(got.1.isEmpty)
    try await eventually("nothing is carried") { !world.bridges[1].isCarrying }
  }

  @Test("end at both ends when one of them is stopped")
  func stopped() async throws {
    let hasEnded = Mutex(false)
    let server = try StreamServer { stream in
      stream.send([1])
      _ = stream.receive(1)
      hasEnded.withLock { $0 = true }
    }
    defer { server.shut() }
    let world = try AssociationWorld(target: server.address)
    let stream = try await Blocking.run {
      let stream = try BlockingStream.connect(to: world.bridges[0].address)
      _ = stream.receive(1)
      return stream
    }
    #expect(world.bridges[0].isCarrying && world.bridges[1].isCarrying)
    world.stop()
    let rest = try await Blocking.run { stream.receive(1) }
    #expect(rest.isEmpty)
    try await eventually("the other end has ended, too") { hasEnded.withLock { $0 } }
  }

  @Test("slow a writer down to its reader, and hold no more than their windows")
  func backPressure() async throws {
    let total = 64 << 20
    let mayRead = DispatchSemaphore(value: 0)
    let written = Atomic<Int>(0)
    let read = Atomic<Int>(0)
    let server = try StreamServer { stream in
      mayRead.wait()
      while true {
        let piece = stream.receive(65_536)
        guard !piece.isEmpty else { return }
        read.add(piece.count, ordering: .sequentiallyConsistent)
      }
    }
    defer { server.shut() }
    let world = try AssociationWorld(target: server.address)
    defer { world.stop() }
    let stream = try await Blocking.run {
      try BlockingStream.connect(to: world.bridges[0].address)
    }
    let piece = [UInt8](repeating: 9, count: 65_536)
    Thread.detachNewThread {
      for _ in 0..<(total / piece.count) {
        stream.send(piece)
        written.add(piece.count, ordering: .sequentiallyConsistent)
      }
      stream.shut()
    }
    var last = -1
    try await eventually("the writer waits, or has written all") {
      let now = written.load(ordering: .sequentiallyConsistent)
      defer { last = now }
      try await Task.sleep(for: .seconds(1))
      return now > 0 && (now == last || now == total)
    }
    // Two windows of 4 MiB, and what the kernel holds of two TCP connections.
    #expect(written.load(ordering: .sequentiallyConsistent) < 32 << 20)
    mayRead.signal()
    try await eventually("all has arrived", within: .seconds(60)) {
      read.load(ordering: .sequentiallyConsistent) == total
    }
  }

  @Test("wait for a way, and go on over another one")
  func route() async throws {
    let server = try StreamServer { stream in
      while true {
        let piece = stream.receive(65_536)
        guard !piece.isEmpty, stream.send(piece) else { return }
      }
    }
    defer { server.shut() }
    let world = try AssociationWorld(target: server.address, hasRoute: false)
    defer { world.stop() }
    let stream = try await Blocking.run {
      let stream = try BlockingStream.connect(to: world.bridges[0].address)
      stream.send([1, 2, 3])
      return stream
    }
    #expect(world.lines[0].sent.withLock { $0 } == 0)
    for bridge in world.bridges { bridge.setRoute(AssociationWorld.route) }
    #expect(try await Blocking.run { stream.receive(exactly: 3) } == [1, 2, 3])
    // By a relay: with its header before each datagram.
    let relayed = PathRoute(AssociationWorld.route.address, relayHeader: 0x9D00_0001_0000_0002)
    for bridge in world.bridges { bridge.setRoute(relayed) }
    let bytes = Self.pattern(1 << 20, seed: 6)
    #expect(try await Self.echo(bytes, over: stream) == bytes)
  }

  @Test("are not disturbed by datagrams of others, nor by garbage of the peer's own")
  func garbage() async throws {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed)")
    let server = try StreamServer { stream in
      while true {
        let piece = stream.receive(65_536)
        guard !piece.isEmpty, stream.send(piece) else { return }
      }
    }
    defer { server.shut() }
    let world = try AssociationWorld(target: server.address)
    defer { world.stop() }
    let stream = try await Blocking.run {
      let stream = try BlockingStream.connect(to: world.bridges[0].address)
      stream.send([1])
      _ = stream.receive(1)
      return stream
    }
    var random = SplitMix(state: seed)
    var name: [UInt8] = []
    let inbound = world.paths[1].seal.inboundName
    for shift in stride(from: 56, through: 0, by: -8) {
      name.append(UInt8(truncatingIfNeeded: inbound >> UInt64(shift)))
    }
    for _ in 0..<5000 {
      var bytes = (0..<Int(random.next() % 200)).map { _ in
        UInt8(truncatingIfNeeded: random.next())
      }
      if random.next() % 2 == 0 {
        bytes = [AssociationSeal.firstByte] + name + bytes
        #expect(world.paths[1].seal.open(bytes[...]) == nil)
      }
      _ = world.tables[1].take(bytes)
      // A peer that means harm: well sealed, and no SCTP; and SCTP's header before garbage.
      let header: [UInt8] = [0x30, 0x39, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0]
      let chunk = [UInt8(random.next() % 16), 0, 0, UInt8(random.next() % 64)] + bytes.prefix(60)
      for packet in [bytes, header + bytes, header + chunk] where !packet.isEmpty {
        packet.withUnsafeBytes { world.paths[0].send($0) }
      }
    }
    #expect(!world.tables[1].take([0x9F, 1, 2]), "disco's")
    #expect(!world.tables[1].take([]), "nobody's")
    let bytes = Self.pattern(1 << 20, seed: 7)
    #expect(try await Self.echo(bytes, over: stream) == bytes)
  }

  @Test("are sealed to two keys: others can neither read nor make their datagrams")
  func sealing() throws {
    let (a, b, stranger) = (try X25519(), try X25519(), try X25519())
    let out = try AssociationSeal(own: a, peer: b.publicKey, context: [1])
    let into = try AssociationSeal(own: b, peer: a.publicKey, context: [1])
    let packet = Self.pattern(600, seed: 8)
    let datagram = try #require(packet.withUnsafeBytes { out.close($0, after: [1, 2]) })
    #expect(datagram.prefix(2) == [1, 2])
    let inner = datagram.dropFirst(2)
    #expect(AssociationSeal.name(in: inner) == into.inboundName)
    #expect(into.open(inner) == packet)
    for index in inner.indices.dropFirst() {
      var changed = inner
      changed[index] ^= 1
      // The name is for finding the seal, and covered all the same.
      #expect(into.open(changed) == nil, "byte \(index)")
    }
    #expect(out.open(inner) == nil, "it is not the sender's own")
    #expect(try AssociationSeal(own: b, peer: a.publicKey, context: [2]).open(inner) == nil)
    #expect(try AssociationSeal(own: b, peer: stranger.publicKey, context: [1]).open(inner) == nil)
    let again = try #require(packet.withUnsafeBytes { out.close($0, after: []) })
    #expect(again != Array(inner), "no nonce comes twice")
  }
}
