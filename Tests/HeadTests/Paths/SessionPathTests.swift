import IorunContract
import IorunCore
import IorunCrypto
import IorunPath
import Testing

@testable import IorunHead

@Suite("Paths of datagrams between nodes")
struct SessionPathTests {
  /// A report of a node that takes links.
  private static func report(
    _ index: Int, seeks: [PeerID]? = nil
  ) throws -> PathReport {
    let key = try X25519().publicKey
    return PathReport(
      end: PathEnd(
        key: key, natClass: .portRestricted,
        candidates: [Candidate(.mapped, SocketAddress(v4: 198, 51, 100, 1, port: 9))]),
      relayRoundTripsMilliseconds: [:], paths: [],
      link: LinkEnd(key: sampleKey(UInt8(100 + index)), addresses: []), seeks: seeks)
  }

  @Test("are told of to both as soon as one of them asks, and to nobody else")
  func sought() async throws {
    try await withRig(cpus: [1, 1]) { (rig) async throws in
      let job = try await rig.submit(.sample(ranks: 2))
      try await rig.wait(for: job.id, .running, advancing: .milliseconds(100))
      let desk = rig.services.rendezvous
      let (a, b) = (rig.nodes[0].id, rig.nodes[1].id)
      try await desk.offerRelay(
        RelayRegistration(
          name: "near", addresses: [SocketAddress(v4: 203, 0, 113, 9, port: 3478)],
          streamPort: 443, secret: [UInt8](repeating: 2, count: 32), bytes: [:]), caller: a)
      let first = try await desk.report(try Self.report(0), caller: a)
      #expect(first.isEmpty, "the other one has said nothing yet")
      let none = try await desk.report(try Self.report(1), caller: b)
      #expect(none.map(\.peer) == [a])
      #expect(none.first?.path == nil, "nobody has asked")

      let asked = try Self.report(0, seeks: [b])
      let atA = try #require(try await desk.report(asked, caller: a).first?.path)
      let atB = try #require(try await desk.report(try Self.report(1), caller: b).first?.path)
      #expect(atA.peer == b && atB.peer == a)
      #expect(atB.end == asked.end)
      #expect(atA.isCaller != atB.isCaller)
      let (passA, passB) = (try #require(atA.relay), try #require(atB.relay))
      #expect(passA.slot == passB.slot && passA.addresses == passB.addresses)
      #expect(passA.key != passB.key)

      let stranger = PeerID(high: 1, low: 2)
      let other = try await desk.report(try Self.report(0, seeks: [stranger]), caller: a)
      #expect(other.map(\.peer) == [b])
      #expect(other.first?.path == nil, "not with whom one has no business")
      let over = (0...LinkOffer.limit).map { PeerID(high: 3, low: UInt64($0)) }
      await #expect {
        _ = try await desk.report(try Self.report(0, seeks: over), caller: a)
      } throws: {
        ($0 as? IorunError)?.code == .malformed
      }
    }
  }
}
