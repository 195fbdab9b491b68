import Foundation
import IorunCore
import IorunCrypto
import Synchronization
import Testing

@testable import IorunPath

/// Real sockets on loopback: a relay, and two ends that find each other through it.
@Suite("A relay on real sockets", .serialized)
struct RelayServerTests {
  private let loopback = SocketAddress(v4: 127, 0, 0, 1, port: 0)
  private let secret = [UInt8](repeating: 3, count: 32)

  /// Collects what a channel gets.
  private final class Inbox: Sendable {
    let items = Mutex<[([UInt8], SocketAddress)]>([])

    func hear(_ channel: any DatagramChannel) {
      channel.onDatagram { bytes, from in self.items.withLock { $0.append((bytes, from)) } }
    }
  }

  private func eventually(
    _ what: Comment, within limit: Duration = .seconds(60), _ condition: () async -> Bool
  ) async throws {
    let end = ContinuousClock.now + limit
    while await !condition() {
      try #require(ContinuousClock.now < end, what)
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  private func pass(_ server: RelayServer, _ leg: RelayPass.Leg, rate: UInt32 = 0) throws
    -> RelayPass
  {
    try RelayPass(
      secret: secret, addresses: [loopback.with(port: server.port)], slot: 42, leg: leg,
      expiresAt: UInt64(Date().timeIntervalSince1970) + 100, kilobytesPerSecond: rate)
  }

  /// Binds a socket to a leg by hand.
  private func bind(_ socket: UDPSocket, _ pass: RelayPass, through shim: SocketAddress? = nil)
    async throws
  {
    let inbox = Inbox()
    inbox.hear(socket)
    var binding = RelayBinding(pass, through: shim.map { [$0] }, seed: .random(in: 0 ... .max))
    var waiting = binding.tick(now: PathClock.now())
    try await eventually("the relay binds") {
      for action in waiting {
        if case .send(let bytes, let to) = action { socket.send(bytes, to: to, timeToLive: nil) }
      }
      waiting = binding.tick(now: PathClock.now())
      for (bytes, from) in inbox.items.withLock({ items in
        defer { items = [] }
        return items
      }) {
        waiting += binding.receive(bytes, from: from, now: PathClock.now())
      }
      return binding.isUp
    }
  }

  private func datagram(_ pass: RelayPass, _ body: [UInt8]) throws -> [UInt8] {
    let header = try RelayHeader(pass).data
    return stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: header >> $0) }
      + body
  }

  @Test("what a bound leg sends arrives at the other with its own header; strangers are refused")
  func forwarding() async throws {
    let server = try RelayServer(on: loopback, port: 0, secret: secret)
    defer { server.stop() }
    let (one, other, stranger) = (try UDPSocket(), try UDPSocket(), try UDPSocket())
    defer { for socket in [one, other, stranger] { socket.shut() } }
    let (lower, higher) = (try pass(server, .lower), try pass(server, .higher))
    try await bind(one, lower)
    try await bind(other, higher)
    let inbox = Inbox()
    inbox.hear(other)
    let relay = loopback.with(port: server.port)
    // The right words from another place: the relay must not believe them.
    stranger.send(try datagram(lower, [6, 6, 6]), to: relay, timeToLive: nil)
    one.send([0x9D, 0, 0, 42, 0, 0, 0, 0, 1], to: relay, timeToLive: nil)
    for number in 0..<100 {
      one.send(try datagram(lower, [5, UInt8(number)]), to: relay, timeToLive: nil)
    }
    try await eventually("all arrive") { inbox.items.withLock { $0.count } >= 100 }
    let expected = try (0..<100).map { try datagram(higher, [5, UInt8($0)]) }
    #expect(inbox.items.withLock { $0.map(\.0) } == expected)
    try await eventually("they are counted") {
      server.counters.forwardedPackets == 100 && server.counters.refusedPackets == 2
    }
    #expect(server.takeBytes() == [42: 1000])
  }

  @Test("a pair gets no more than its rate")
  func rate() async throws {
    let server = try RelayServer(on: loopback, port: 0, secret: secret)
    defer { server.stop() }
    let (one, other) = (try UDPSocket(), try UDPSocket())
    defer { for socket in [one, other] { socket.shut() } }
    // 20 kB/s: a burst of a second, then no more at once.
    let (lower, higher) = (try pass(server, .lower, rate: 20), try pass(server, .higher, rate: 20))
    try await bind(one, lower)
    try await bind(other, higher)
    let body = [UInt8](repeating: 1, count: 992)
    for _ in 0..<500 {
      one.send(try datagram(lower, body), to: loopback.with(port: server.port), timeToLive: nil)
    }
    try await eventually("all are looked at") {
      server.counters.forwardedPackets + server.counters.droppedPackets == 500
    }
    #expect(server.counters.forwardedPackets < 250)
    #expect(server.counters.droppedPackets > 250)
  }

  @Test("a node whose UDP is blocked reaches its peer by TCP")
  func stream() async throws {
    let server = try RelayServer(on: loopback, port: 0, streamPort: 0, secret: secret)
    defer { server.stop() }
    let shim = try StreamShim(to: [loopback.with(port: try #require(server.streamPort))])
    defer { shim.stop() }
    let (one, other) = (try UDPSocket(), try UDPSocket())
    defer { for socket in [one, other] { socket.shut() } }
    let (lower, higher) = (try pass(server, .lower), try pass(server, .higher))
    try await bind(one, lower, through: shim.address)
    try await bind(other, higher)
    let (near, far) = (Inbox(), Inbox())
    near.hear(one)
    far.hear(other)
    one.send(try datagram(lower, [5, 1]), to: shim.address, timeToLive: nil)
    other.send(try datagram(higher, [5, 2]), to: loopback.with(port: server.port), timeToLive: nil)
    try await eventually("both arrive") {
      near.items.withLock { !$0.isEmpty } && far.items.withLock { !$0.isEmpty }
    }
    #expect(far.items.withLock { $0.first?.0 } == (try datagram(higher, [5, 1])))
    #expect(near.items.withLock { $0.first?.0 } == (try datagram(lower, [5, 2])))
  }

  @Test("two keepers begin on the relay, go direct, and tell both")
  func keepers() async throws {
    let server = try RelayServer(on: loopback, port: 0, secret: secret)
    defer { server.stop() }
    let (one, other) = (try UDPSocket(), try UDPSocket())
    defer { for socket in [one, other] { socket.shut() } }
    let near = PathKeeper(channel: one, key: try X25519())
    let far = PathKeeper(channel: other, key: try X25519())
    let target = ReflectorTarget(
      name: "relay", addresses: [loopback.with(port: server.port)], streamPort: 0,
      key: try RelayPass.reflectorKey(secret: secret))
    let routes = Mutex<[PathRoute?]>([])
    await near.start()
    await far.start()
    let (found, times) = await near.gather([target])
    #expect(found.mapped == [loopback.with(port: one.port)])
    #expect(times[0] != nil)
    try await near.add(
      "far",
      .init(key: far.publicKey, isCaller: true, relay: try pass(server, .lower))
    ) { route in routes.withLock { $0.append(route) } }
    try await far.add(
      "near", .init(key: near.publicKey, isCaller: false, relay: try pass(server, .higher))
    ) { _ in }
    try await eventually("data may go by the relay") {
      let (here, there) = (await near.status("far"), await far.status("near"))
      return here?.relayRoundTrip != nil && there?.relayRoundTrip != nil
    }
    #expect(routes.withLock { $0.first??.isDirect } == false)
    await far.setOwn([Candidate(.mapped, loopback.with(port: other.port))], natClass: .open)
    await near.setOwn([Candidate(.mapped, loopback.with(port: one.port))], natClass: .open)
    try await eventually("both are direct") {
      let (here, there) = (await near.status("far"), await far.status("near"))
      return here?.route == PathRoute(loopback.with(port: other.port))
        && there?.route == PathRoute(loopback.with(port: one.port))
    }
    await near.stop()
    await far.stop()
  }

  @Test("a pair whose relay dies goes on through another one that it is given")
  func death() async throws {
    let first = try RelayServer(on: loopback, port: 0, secret: secret)
    let second = try RelayServer(on: loopback, port: 0, secret: secret)
    defer { second.stop() }
    let (one, other) = (try UDPSocket(), try UDPSocket())
    defer { for socket in [one, other] { socket.shut() } }
    let near = PathKeeper(channel: one, key: try X25519())
    let far = PathKeeper(channel: other, key: try X25519())
    await near.start()
    await far.start()
    try await near.add(
      "far", .init(key: far.publicKey, isCaller: true, relay: try pass(first, .lower))
    ) { _ in }
    try await far.add(
      "near", .init(key: near.publicKey, isCaller: false, relay: try pass(first, .higher))
    ) { _ in }
    func areOn(_ server: RelayServer) async -> Bool {
      let relay = loopback.with(port: server.port)
      for status in [await near.status("far"), await far.status("near")] {
        guard status?.route?.isDirect == false, status?.route?.address == relay else {
          return false
        }
      }
      return true
    }
    try await eventually("both are on the first", within: .seconds(30)) { await areOn(first) }
    #expect(await !near.lacksRelay("far"))
    first.stop()
    try await near.setRelay("far", try pass(second, .lower))
    #expect(await near.lacksRelay("far"))
    // The ends hear of it at different times.
    try await far.setRelay("near", try pass(second, .higher))
    try await eventually("both are on the second", within: .seconds(30)) { await areOn(second) }
    await near.stop()
    await far.stop()
  }

  @Test("a pass is renewed before its end, and the way by the relay stays open")
  func renewal() async throws {
    let server = try RelayServer(on: loopback, port: 0, secret: secret)
    defer { server.stop() }
    let (one, other) = (try UDPSocket(), try UDPSocket())
    defer { for socket in [one, other] { socket.shut() } }
    let near = PathKeeper(channel: one, key: try X25519())
    let far = PathKeeper(channel: other, key: try X25519())
    await near.start()
    await far.start()
    func pass(_ leg: RelayPass.Leg, until end: UInt64) throws -> RelayPass {
      try RelayPass(
        secret: secret, addresses: [loopback.with(port: server.port)], slot: 42, leg: leg,
        expiresAt: end, kilobytesPerSecond: 0)
    }
    let now = UInt64(Date().timeIntervalSince1970)
    let routes = Mutex<[PathRoute?]>([])
    let old = try pass(.lower, until: now + 1000)
    try await near.add("far", .init(key: far.publicKey, isCaller: true, relay: old)) { route in
      routes.withLock { $0.append(route) }
    }
    try await far.add(
      "near",
      .init(
        key: near.publicKey, isCaller: false, relay: try pass(.higher, until: now + 1000))
    ) { _ in }
    try await eventually("both are on the relay") {
      let (here, there) = (await near.status("far"), await far.status("near"))
      return here?.relayRoundTrip != nil && there?.relayRoundTrip != nil
    }
    let before = routes.withLock { $0.count }
    let new = try pass(.lower, until: now + 100_000)
    try await near.renewRelay("far", new)
    try await eventually("the relay has taken the new pass") {
      await near.relayPassEnd("far") == now + 100_000
    }
    #expect(await !near.lacksRelay("far"))
    // One change, from the old header to the new one; at no time was there no way.
    let told = routes.withLock { $0.dropFirst(before) }
    #expect(told.map { $0?.relayHeader } == [try RelayHeader(new).data])
    // The relay takes what has the new header, and no more what has the old one.
    let inbox = Inbox()
    inbox.hear(other)
    let relay = loopback.with(port: server.port)
    one.send(try datagram(old, [5, 1]), to: relay, timeToLive: nil)
    one.send(try datagram(new, [5, 2]), to: relay, timeToLive: nil)
    try await eventually("what is sent with the new header arrives") {
      inbox.items.withLock { $0.contains { $0.0.last == 2 } }
    }
    #expect(!inbox.items.withLock { $0.contains { $0.0.suffix(2) == [5, 1] } })
    await near.stop()
    await far.stop()
  }

  @Test(
    "all of it works over IPv6",
    .enabled(if: hasSix, "this machine has no IPv6 on its loopback: SKIPPED"))
  func six() async throws {
    let here = try #require(SocketAddress(host: "::1", port: 0))
    let server = try RelayServer(on: here, port: 0, secret: secret)
    defer { server.stop() }
    let (one, other) = (try UDPSocket(), try UDPSocket())
    defer { for socket in [one, other] { socket.shut() } }
    let near = PathKeeper(channel: one, key: try X25519())
    let far = PathKeeper(channel: other, key: try X25519())
    await near.start()
    await far.start()
    let (found, _) = await near.gather([
      ReflectorTarget(
        name: "relay", addresses: [here.with(port: server.port)], streamPort: 0,
        key: try RelayPass.reflectorKey(secret: secret))
    ])
    #expect(found.mapped == [here.with(port: one.port)])
    func pass(_ leg: RelayPass.Leg) throws -> RelayPass {
      try RelayPass(
        secret: secret, addresses: [here.with(port: server.port)], slot: 7, leg: leg,
        expiresAt: UInt64(Date().timeIntervalSince1970) + 100, kilobytesPerSecond: 0)
    }
    try await near.add(
      "far", .init(key: far.publicKey, isCaller: true, relay: try pass(.lower))
    ) { _ in }
    try await far.add(
      "near", .init(key: near.publicKey, isCaller: false, relay: try pass(.higher))
    ) { _ in }
    try await eventually("data may go by the relay", within: .seconds(30)) {
      let (here, there) = (await near.status("far"), await far.status("near"))
      return here?.relayRoundTrip != nil && there?.relayRoundTrip != nil
    }
    await far.setOwn([Candidate(.mapped, here.with(port: other.port))], natClass: .open)
    await near.setOwn([Candidate(.mapped, here.with(port: one.port))], natClass: .open)
    try await eventually("both are direct", within: .seconds(30)) {
      let (first, second) = (await near.status("far"), await far.status("near"))
      return first?.route == PathRoute(here.with(port: other.port))
        && second?.route == PathRoute(here.with(port: one.port))
    }
    await near.stop()
    await far.stop()
  }

  private static let hasSix: Bool = {
    let table = FileHandle(forReadingAtPath: "/proc/net/if_inet6")
    let text = String(decoding: (try? table?.readToEnd()) ?? Data(), as: UTF8.self)
    return text.contains("00000000000000000000000000000001")
  }()

  @Test("garbage on every port changes nothing", arguments: 0..<2 as Range<UInt64>)
  func garbage(_ seed: UInt64) async throws {
    let server = try RelayServer(on: loopback, port: 0, streamPort: 0, secret: secret)
    defer { server.stop() }
    let one = try UDPSocket()
    defer { one.shut() }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<500 {
      var bytes = (0..<Int.random(in: 1...200, using: &random)).map { _ in UInt8.random(in: 0...255)
      }
      bytes[0] = [0x9C, 0x9D, 0x9E, 0x9F, 0][Int.random(in: 0..<5, using: &random)]
      one.send(bytes, to: loopback.with(port: server.port), timeToLive: nil)
      one.send(bytes, to: loopback.with(port: server.otherPort), timeToLive: nil)
    }
    let other = try UDPSocket()
    defer { other.shut() }
    try await bind(other, try pass(server, .lower))
    #expect(server.counters.forwardedPackets == 0)
  }
}
