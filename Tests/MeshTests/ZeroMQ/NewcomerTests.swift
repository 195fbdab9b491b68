import IorunCore
import IorunWire
import Synchronization
import Testing

@testable import IorunMesh

/// Admission with the first connection: it proves a ticket, the greeting names the newcomer.
struct NewcomerTests {
  /// A head that knows one ticket, and from then on whom it admitted.
  private final class Head: Sendable {
    let key: CurveKey
    let ticket: Ticket
    let endpoint: ZeroMQEndpoint
    let receiver: RecordingReceiver
    let admitted: PeerAllowList

    init(refusing refusal: IorunError? = nil) throws {
      let key = try CurveKey()
      let ticket = try Ticket(address: "127.0.0.1:1", headKey: key.publicKey)
      let ticketKey = try ticket.key()
      let admitted = PeerAllowList()
      endpoint = try ZeroMQEndpoint(
        identity: key, listening: ["tcp://127.0.0.1:0"],
        admits: { $0 == ticketKey.publicKey ? ticketKey.peer : admitted.admits($0) })
      receiver = RecordingReceiver(endpoint)
      endpoint.admitNewcomers { publicKey, name, holder in
        if let refusal { throw refusal }
        guard holder == ticketKey.peer, name == "anna" else {
          throw IorunError(.ticketInvalid, "not this one")
        }
        admitted.set([publicKey])
      }
      (self.key, self.ticket, self.admitted) = (key, ticket, admitted)
    }

    func uplink(name: String = "anna") throws -> MeshUplink {
      MeshUplink(
        address: endpoint.addresses[0], key: key.publicKey,
        introduction: try Introduction(ticket, name: name))
    }
  }

  @Test func `a newcomer is admitted with its first connection, which is its own from then on`()
    async throws
  {
    let head = try Head()
    let anna = try CurveKey()
    let endpoint = try ZeroMQEndpoint(identity: anna, uplink: try head.uplink())
    let receiver = RecordingReceiver(endpoint)
    // Before it is admitted: goes with the greeting, and counts once the welcome is sent.
    try endpoint.send([1], to: head.key.peer, in: .actor)
    try await endpoint.uplinkMonitor.waitUntilUp(within: .seconds(10))
    #expect(await eventually { head.receiver.payloads.map(\.bytes) == [[1]] })
    #expect(head.receiver.payloads.map(\.principal) == [anna.peer])
    try head.endpoint.send([2], to: anna.peer, in: .actor)
    #expect(await eventually { receiver.payloads.map(\.bytes) == [[2]] })
    await endpoint.stop(drainingFor: .zero)
    // Its own key opens the next connection, without the ticket.
    let again = try Caller(
      key: anna, to: head.endpoint.addresses[0], headKey: head.key.publicKey)
    try await again.endpoint.uplinkMonitor.waitUntilUp(within: .seconds(10))
    await again.endpoint.stop(drainingFor: .zero)
    await head.endpoint.stop(drainingFor: .zero)
  }

  @Test func `a refusal reaches the newcomer at once, with its reason`() async throws {
    let head = try Head(refusing: IorunError(.ticketSpent, "all used", remedy: "Ask"))
    let endpoint = try ZeroMQEndpoint(identity: CurveKey(), uplink: try head.uplink())
    let receiver = RecordingReceiver(endpoint)
    await #expect { try await endpoint.uplinkMonitor.waitUntilUp(within: .seconds(10)) } throws: {
      ($0 as? IorunError)?.code == .ticketSpent && ($0 as? IorunError)?.remedy == "Ask"
    }
    #expect(receiver.payloads.isEmpty)
    await endpoint.stop(drainingFor: .zero)
    await head.endpoint.stop(drainingFor: .zero)
  }

  @Test func `nobody is admitted under a key whose secret it lacks, nor by a proof for elsewhere`()
    throws
  {
    let (head, other, anna, mallory) = (
      try CurveKey(), try CurveKey(), try CurveKey(), try CurveKey()
    )
    let ticket = try Ticket(address: "127.0.0.1:1", headKey: head.publicKey)
    let introduction = try Introduction(ticket, name: "anna")
    let holder = try ticket.key().peer
    var greeting = try introduction.newcomer(
      anna, headKey: head.publicKey, connection: 5, instance: 6)
    func peer(
      head: CurveKey = head, ticket: PeerID = holder, connection: UInt64 = 5, instance: UInt64 = 6
    ) -> PeerID? {
      Introduction.peer(
        of: greeting, head: head, ticket: ticket, connection: connection, instance: instance)
    }
    #expect(peer() == anna.peer)
    #expect(peer(head: other) == nil)
    #expect(peer(ticket: mallory.peer) == nil)
    #expect(peer(connection: 6) == nil)
    #expect(peer(instance: 7) == nil)
    greeting.publicKey = mallory.publicKey
    #expect(peer() == nil)
    greeting.publicKey = [UInt8](repeating: 0, count: 32)
    #expect(peer() == nil, "a key of small order")
    greeting.publicKey = []
    #expect(peer() == nil)
  }

  @Test func `where nobody decides, nobody is admitted`() async throws {
    let ticket = try Ticket(address: "127.0.0.1:1", headKey: [UInt8](repeating: 1, count: 32))
    let listener = try Listener(key: CurveKey(), admitting: [try ticket.key()])
    let endpoint = try ZeroMQEndpoint(
      identity: CurveKey(),
      uplink: MeshUplink(
        address: listener.address, key: listener.key.publicKey,
        introduction: try Introduction(ticket, name: "anna")))
    _ = RecordingReceiver(endpoint)
    #expect(await eventually { endpoint.uplinkMonitor.lastFailure?.code == .notAllowed })
    await endpoint.stop(drainingFor: .zero)
    await listener.endpoint.stop(drainingFor: .zero)
  }
}
