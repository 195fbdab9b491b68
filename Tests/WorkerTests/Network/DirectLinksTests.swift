import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunMesh
import IorunPath
import IorunRuntime
import Logging
import Synchronization
import Testing

@testable import IorunWorker

@Suite("Links between agents", .timeLimit(.minutes(2)))
struct DirectLinksTests {
  /// A clock that a test moves.
  private final class Hands: Sendable {
    let ahead = Mutex(Duration.zero)
    var now: ContinuousClock.Instant { .now + ahead.withLock { $0 } }
  }

  /// A node's end.
  private struct Node: Sendable {
    let hands = Hands()
    let endpoint: ZeroMQEndpoint
    let system: MeshActorSystem
    let links: DirectLinks

    init() throws {
      endpoint = try ZeroMQEndpoint(identity: try CurveKey())
      system = MeshActorSystem(transport: endpoint)
      links = DirectLinks(
        endpoint: endpoint, publicKey: endpoint.publicKey,
        credentials: { _ in
          LinkCredentials(certificate: { [1] }, check: { _, _ in .infinity }, now: { 0 })
        },
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        now: { [hands] in hands.now })
    }

    /// What another node is told of this one, as if it were on the same machine.
    func offer(dials: Bool, host: String = "127.0.0.1") async throws -> LinkOffer {
      var end = try #require(await links.end())
      let port = try #require(await links.port)
      end.addresses = [try #require(SocketAddress(host: host, port: port))]
      return LinkOffer(peer: endpoint.localPeer, end: end, dials: dials)
    }

    func isDirect(to other: Node) async throws -> Bool {
      try await endpoint.isDirect(to: other.endpoint.localPeer)
    }
  }

  private func with(
    _ count: Int, _ body: ([Node]) async throws -> Void
  ) async throws {
    let nodes = try (0..<count).map { _ in try Node() }
    let result: Result<Void, any Error>
    do { result = .success(try await body(nodes)) } catch { result = .failure(error) }
    for node in nodes { await node.endpoint.stop(drainingFor: .zero) }
    try result.get()
  }

  private static let hosts: [String] = {
    let table = FileHandle(forReadingAtPath: "/proc/net/if_inet6")
    let text = String(decoding: (try? table?.readToEnd()) ?? Data(), as: UTF8.self)
    guard text.contains("00000000000000000000000000000001") else {
      print("SKIPPED: this machine has no IPv6 on its loopback")
      return ["127.0.0.1"]
    }
    return ["127.0.0.1", "::1"]
  }()

  @Test("are made by the one that is told to dial, and both say so", arguments: hosts)
  func direct(_ host: String) async throws {
    try await with(2) { nodes in
      let (a, b) = (nodes[0], nodes[1])
      let (toA, toB) = (
        try await a.offer(dials: false, host: host), try await b.offer(dials: true, host: host)
      )
      await b.links.set([toA])
      await a.links.set([toB])
      try await eventually("both are direct") {
        guard try await a.isDirect(to: b), try await b.isDirect(to: a) else { return false }
        return true
      }
      // Looked at with the head's next word.
      await a.links.set([toB])
      await b.links.set([toA])
      #expect(await a.links.summaries().map(\.isDirect) == [true])
      #expect(await b.links.summaries().map(\.isDirect) == [true])
    }
  }

  @Test("are tried by the other end where the first one finds no way")
  func otherTurn() async throws {
    try await with(2) { nodes in
      let (a, b) = (nodes[0], nodes[1])
      var toB = try await b.offer(dials: true)
      // As seen by `a`: nobody listens there.
      toB.end.addresses = [SocketAddress(v4: 127, 0, 0, 1, port: 1)]
      let toA = try await a.offer(dials: false)
      await a.links.set([toB])
      await b.links.set([toA])
      #expect(try await !b.isDirect(to: a))
      b.hands.ahead.withLock { $0 = DirectLinks.turn + .seconds(1) }
      await b.links.set([toA])
      try await eventually("the other end has dialled") { try await b.isDirect(to: a) }
    }
  }

  /// A node's search for paths over a socket of its own.
  private struct Search: Sendable {
    let socket: UDPSocket
    let place: PathPlace

    init(_ node: Node) async throws {
      socket = try UDPSocket()
      place = PathPlace(
        keeper: PathKeeper(channel: socket, key: try X25519()), headAddress: "127.0.0.1:1")
      await place.keeper.start()
      await node.links.attach(
        SessionPaths(
          place: place,
          logger: Logger(label: "test") { _ in
            SwiftLogNoOpLogHandler()
          }))
    }

    /// What another node is told of this one.
    func offer(_ node: Node, isCaller: Bool) -> PathOffer {
      PathOffer(
        peer: node.endpoint.localPeer, name: "there",
        end: PathEnd(
          key: place.keeper.publicKey, natClass: .unknown,
          candidates: [Candidate(.host, SocketAddress(v4: 127, 0, 0, 1, port: socket.port))]),
        relay: nil, relayPort: 0, relayStreamPort: 0, isCaller: isCaller)
    }
  }

  @Test("go over a path of datagrams where TCP finds no way, and back to TCP where there is one")
  func overPath() async throws {
    try await with(2) { nodes in
      let (a, b) = (nodes[0], nodes[1])
      let (atA, atB) = (try await Search(a), try await Search(b))
      var (toA, toB) = (try await a.offer(dials: false), try await b.offer(dials: true))
      let (goodA, goodB) = (toA.end.addresses, toB.end.addresses)
      toA.end.addresses = [SocketAddress(v4: 127, 0, 0, 1, port: 1)]
      toB.end.addresses = toA.end.addresses
      for each in [a, b] { each.hands.ahead.withLock { $0 = .zero } }
      await a.links.set([toB])
      await b.links.set([toA])
      #expect(await a.links.seeks == [b.endpoint.localPeer])
      #expect(await b.links.seeks.isEmpty, "its turn comes later")
      b.hands.ahead.withLock { $0 = DirectLinks.turn + .seconds(1) }
      await b.links.set([toA])
      #expect(await b.links.seeks == [a.endpoint.localPeer])
      // What the head says then.
      toA.path = atA.offer(a, isCaller: false)
      toB.path = atB.offer(b, isCaller: true)
      await a.links.set([toB])
      await b.links.set([toA])
      try await eventually("both are linked") {
        await a.links.tend()
        await b.links.tend()
        guard try await a.isDirect(to: b), try await b.isDirect(to: a) else { return false }
        return true
      }
      let (atNodeA, atNodeB) = (await a.links.summaries(), await b.links.summaries())
      #expect(atNodeA.map(\.isDirect) == [true] && atNodeB.map(\.isDirect) == [true])
      #expect(atNodeA.first?.address == "127.0.0.1:\(atB.socket.port)")
      #expect(atNodeB.first?.address == "127.0.0.1:\(atA.socket.port)")
      #expect(
        await a.links.seeks == [b.endpoint.localPeer], "passes are wanted as long as it is used")

      // The way breaks, and one by TCP has appeared meanwhile.
      atA.socket.shut()
      atB.socket.shut()
      (toA.end.addresses, toB.end.addresses) = (goodA, goodB)
      try await eventually("the link is given up and made anew by TCP") {
        await a.links.set([toB])
        await b.links.set([toA])
        guard try await a.isDirect(to: b) else { return false }
        return await a.links.summaries().map(\.address) == [nil]
      }
      #expect(await a.links.summaries().map(\.isDirect) == [true])
      let settled = DirectLinks.settled + .seconds(1)
      try await eventually("no path is sought any more") {
        for each in [a, b] { each.hands.ahead.withLock { $0 += settled } }
        await a.links.tend()
        await b.links.tend()
        let (atA, atB) = (await a.links.seeks, await b.links.seeks)
        return atA.isEmpty && atB.isEmpty
      }
      await atA.place.stop()
      await atB.place.stop()
    }
  }

  @Test("end when the two have no business any more")
  func end() async throws {
    try await with(2) { nodes in
      let (a, b) = (nodes[0], nodes[1])
      let (toA, toB) = (try await a.offer(dials: false), try await b.offer(dials: true))
      await b.links.set([toA])
      await a.links.set([toB])
      try await eventually("it is there") { try await b.isDirect(to: a) }
      await b.links.set([])
      #expect(await b.links.summaries().isEmpty)
      try await eventually("it is gone") { try await !b.isDirect(to: a) }
    }
  }

  @Test("are not to be had by a key that the head did not name")
  func stranger() async throws {
    try await with(2) { nodes in
      let (a, stranger) = (nodes[0], nodes[1])
      let toA = try await a.offer(dials: false)
      let monitor = stranger.endpoint.dial(
        MeshUplink(address: "tcp://\(toA.end.addresses[0])", key: toA.end.key))
      await #expect {
        try await monitor.waitUntilUp(within: .seconds(30))
      } throws: {
        ($0 as? IorunError)?.code == .keyNotAdmitted
      }
    }
  }

  @Test("are made to nobody whose key is not the peer's")
  func forgedOffer() async throws {
    try await with(2) { nodes in
      let (a, b) = (nodes[0], nodes[1])
      var forged = try await b.offer(dials: true)
      forged.peer = PeerID(high: 1, low: 2)
      var short = try await b.offer(dials: true)
      short.end.key = Array(short.end.key.dropLast())
      var long = try await b.offer(dials: true)
      long.end.addresses = Array(repeating: long.end.addresses[0], count: LinkEnd.addressLimit + 1)
      await a.links.set([forged, short, long])
      #expect(await a.links.summaries().isEmpty)
    }
  }

  @Test("are at most as many as are agreed, whatever the head says")
  func bounded() async throws {
    try await with(1) { nodes in
      let offers = try (0..<LinkOffer.limit + 5).map { _ in
        let key = try CurveKey()
        return LinkOffer(
          peer: key.peer, end: LinkEnd(key: key.publicKey, addresses: []), dials: false)
      }
      await nodes[0].links.set(offers)
      #expect(await nodes[0].links.summaries().isEmpty, "they are only being made")
      nodes[0].hands.ahead.withLock { $0 = DirectLinks.making + .seconds(1) }
      #expect(await nodes[0].links.summaries().count == LinkOffer.limit)
    }
  }
}
