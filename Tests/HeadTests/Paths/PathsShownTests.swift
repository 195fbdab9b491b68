import IorunContract
import IorunCore
import IorunCrypto
import Testing

@testable import IorunHead

@Suite("Ways that nodes tell the head of")
struct PathsShownTests {
  @Test("of a gang are shown to whose it is, to the node and to operators, and to nobody else")
  func shown() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.submit(.sample(ranks: 1))
      try await rig.wait(for: job.id, .running, advancing: .milliseconds(100))
      let (node, mate) = (rig.nodes[0].id, rig.nodes[1].id)
      let summaries = ["\(job.id)/1", "ping"].map {
        PathSummary(
          peer: mate, purpose: $0, isDirect: false, roundTripMilliseconds: 12,
          address: "192.0.2.1:3478")
      }
      let end = PathEnd(key: try X25519().publicKey, natClass: .unknown, candidates: [])
      _ = try await rig.services.rendezvous.report(
        PathReport(end: end, relayRoundTripsMilliseconds: [:], paths: summaries), caller: node)
      func seen(_ caller: PeerID) async throws -> [String] {
        try await rig.services.rendezvous.paths(caller: caller).flatMap(\.paths).map(\.purpose)
      }
      #expect(try await seen(rig.operatorID) == summaries.map(\.purpose))
      #expect(try await seen(node) == summaries.map(\.purpose))
      #expect(try await seen(rig.buyer) == ["\(job.id)/1"])
      #expect(try await seen(rig.otherBuyer).isEmpty)
      #expect(try await seen(mate).isEmpty)
    }
  }
}
