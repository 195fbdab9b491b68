import IorunContract
import IorunCore
import IorunMesh
import Synchronization
import Testing

@testable import IorunHead

/// Revocation, renewal and the authority's keys.
@Suite("Membership")
struct MembershipTests {
  @Test("attack: a revoked node may do nothing any more, and its ranks are lost at once")
  func revocation() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 2)).id, .running)
      for rank in 0..<2 { try await rig.runs(job, rank) }
      let expelled = Mutex<[PeerID]>([])
      rig.services.onExpelled { peer in expelled.withLock { $0.append(peer) } }
      let node = rig.node(of: job, 1)
      let before = try await rig.services.admission.renew(caller: node.id)
      let revoked = try await rig.services.network.revokePeer(
        String(node.id.description.prefix(12)), caller: rig.operatorID)
      #expect(revoked.id == node.id && revoked.revokedAt != nil)
      #expect(expelled.withLock { $0 } == [node.id])
      let key = before.certificate.isEmpty ? [] : sampleKey(UInt8(100 + rig.index(of: node)))
      #expect(rig.services.peers.admits(publicKey: key) == nil)
      await expect(throwsCode: .keyNotAdmitted) {
        try await node.register(with: rig.services.nodes)
      }
      await expect(throwsCode: .keyNotAdmitted) {
        try await rig.services.admission.renew(caller: node.id)
      }
      let end = try await rig.wait(for: job.id, .failed)
      #expect(end.reason?.contains("revoked") == true, "\(end.reason ?? "-")")
      // Everybody else hears of it with the next renewal, and refuses its certificate.
      let other = try await rig.services.admission.renew(caller: rig.buyer)
      let trust = try NetworkTrust(pinning: other.trust)
      do {
        _ = try trust.check(before.certificate, of: key, at: rig.clock.now())
        Issue.record("a revoked peer's certificate was accepted")
      } catch {
        #expect((error as? IorunError)?.code == .peerRevoked)
      }
      // A restart of the head undoes nothing, nor does a ticket.
      await rig.kill()
      try await rig.open()
      #expect(rig.services.peers.admits(publicKey: key) == nil)
      await expect(throwsCode: .peerRevoked) {
        try await rig.services.admit(publicKey: key, name: "n", role: .supplier)
      }
      _ = try await rig.services.network.createTicket(
        TicketRequest(role: .supplier, uses: 1, lifetimeSeconds: 60, label: ""),
        caller: rig.operatorID)
      await expect(throwsCode: .peerRevoked) {
        try await rig.services.admission.admit(
          publicKey: key, name: "n", caller: PeerDirectory.id(of: sampleKey(201)))
      }
    }
  }

  @Test("orders tell nodes when keys or revocations have changed")
  func sequence() async throws {
    try await withRig { (rig) async throws in
      let first = try await rig.nodes[0].register(with: rig.services.nodes).trustSequence
      _ = try await rig.services.network.revokePeer("other", caller: rig.operatorID)
      let second = try #require(try await rig.nodes[0].heartbeat()).trustSequence
      _ = try await rig.services.network.rotateAuthority(atOnce: false, caller: rig.operatorID)
      let third = try #require(try await rig.nodes[0].heartbeat()).trustSequence
      #expect(first < second && second < third)
      // The same after a restart: no node would miss the change.
      await rig.kill()
      try await rig.open()
      #expect(try await rig.nodes[0].register(with: rig.services.nodes).trustSequence == third)
    }
  }

  @Test("a rotation with overlap keeps old certificates good for their day; one at once ends them")
  func rotation() async throws {
    try await withRig { (rig) async throws in
      let key = sampleKey(2)
      let old = try await rig.services.admission.renew(caller: rig.buyer)
      var trust = try NetworkTrust(pinning: old.trust)
      let keys = try await rig.services.network.rotateAuthority(
        atOnce: false, caller: rig.operatorID)
      #expect(keys.count == 2 && keys[0].acceptedUntil != nil && keys[1].acceptedUntil == nil)
      #expect(keys[0].peers == 6 && keys[1].peers == 0)
      let new = try await rig.services.admission.renew(caller: rig.buyer)
      try trust.take(new.trust)
      for certificate in [old.certificate, new.certificate] {
        _ = try trust.check(certificate, of: key, at: rig.clock.now())
      }
      #expect(try await rig.services.network.authorities(caller: rig.operatorID)[1].peers == 1)
      await expect(throwsCode: .wrongState) {
        try await rig.services.network.rotateAuthority(atOnce: false, caller: rig.operatorID)
      }
      // The head goes on with the new key after a restart, and the chain still begins with the old.
      await rig.kill()
      try await rig.open()
      _ = try await rig.services.network.rotateAuthority(atOnce: true, caller: rig.operatorID)
      let third = try await rig.services.admission.renew(caller: rig.buyer)
      try trust.take(third.trust)
      _ = try trust.check(third.certificate, of: key, at: rig.clock.now())
      for certificate in [old.certificate, new.certificate] {
        #expect(throws: IorunError.self) {
          try trust.check(certificate, of: key, at: rig.clock.now())
        }
      }
    }
  }

  @Test("a drained node gets no new work, keeps what it has, and stays drained over restarts")
  func drain() async throws {
    try await withRig(cpus: [4, 1]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1, cpus: 2)).id, .running)
      try await rig.runs(job, 0)
      let drained = try await rig.services.network.drain(
        "node-1", isDrained: true, caller: rig.operatorID)
      #expect(drained.isDrained && drained.leases == 1)
      func places() async throws -> [String] {
        try await rig.services.placement.plan(.sample(ranks: 1), caller: rig.buyer).places.map(
          \.nodeName)
      }
      #expect(try await places() == ["node-2"])
      await rig.kill()
      try await rig.open()
      try await rig.registerAll()
      #expect(try await places() == ["node-2"])
      #expect(try await rig.status(job.id).state == .running)
      _ = try await rig.services.network.drain(
        rig.nodes[0].id.description, isDrained: false, caller: rig.operatorID)
      #expect(
        try await rig.services.placement.plan(.sample(ranks: 2), caller: rig.buyer).places.count
          == 2)
    }
  }

  @Test("a node whose owner holds it gets no new work, keeps what it has, and work goes on after")
  func ownerHold() async throws {
    try await withRig(cpus: [4, 1]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 1, cpus: 2)).id, .running)
      let desk = rig.services.nodes
      func places() async throws -> [String] {
        try await rig.services.placement.plan(.sample(ranks: 1), caller: rig.buyer).places.map(
          \.nodeName)
      }
      try await desk.announce(NodeAvailability(hold: "its owner plays"), caller: rig.nodes[0].id)
      let held = try await rig.services.network.nodes(caller: rig.buyer)[0]
      #expect(held.ownerHold == "its owner plays" && held.state == .alive)
      #expect(try await places() == ["node-2"])
      #expect(try await rig.status(job.id).state == .running)
      // What would fit on it once its owner lets it work again is no mistake: the job waits.
      let waiting = try await rig.submit(.sample(ranks: 1, cpus: 2))
      #expect(try await rig.status(waiting.id).state == .queued)
      try await desk.announce(.open, caller: rig.nodes[0].id)
      _ = try await rig.wait(for: waiting.id, .running)
      await expect(throwsCode: .tooLarge) {
        try await desk.announce(
          NodeAvailability(hold: String(repeating: "x", count: 201)), caller: rig.nodes[0].id)
      }
      // A node says it again with each registration, so a restarted head knows it.
      _ = try await desk.register(
        NodeRegistration(
          facts: rig.nodes[1].facts, leases: [], availability: NodeAvailability(hold: "night")),
        caller: rig.nodes[1].id)
      #expect(try await rig.services.network.nodes(caller: rig.buyer)[1].ownerHold == "night")
    }
  }

  @Test("nobody revokes itself, and a reference that fits several peers fits none")
  func references() async throws {
    try await withRig { (rig) async throws in
      await expect(throwsCode: .notAllowed) {
        try await rig.services.network.revokePeer("operator", caller: rig.operatorID)
      }
      // The three nodes were admitted by the same name.
      await expect(throwsCode: .notFound) {
        try await rig.services.network.revokePeer("n", caller: rig.operatorID)
      }
      let peers = try await rig.services.network.peers(caller: rig.operatorID)
      #expect(peers.count == 6 && peers.allSatisfy { $0.certificateEndsAt != nil })
    }
  }
}

extension Rig {
  /// Which of the rig's nodes this is.
  fileprivate func index(of node: FakeNode) -> Int { nodes.firstIndex { $0.id == node.id } ?? 0 }
}
