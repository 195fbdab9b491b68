import GRDB
import IorunContract
import IorunCore
import IorunMesh
import Synchronization
import Testing

@testable import IorunHead

@Suite("Who reaches into a rank")
struct AttachTests {
  @Test("its owner does while it runs, and the mesh opens exactly that way")
  func owner() async throws {
    try await withRig { (rig) async throws in
      let ways = Mutex<Set<AttachmentBook.Way>>([])
      await rig.services.onAttachmentsChanged { present in ways.withLock { $0 = present } }
      let job = try await rig.submit(.sample(ranks: 1))
      let running = try await rig.wait(for: job.id, .running)
      try await rig.runs(running, 0)
      let attachment = try await rig.jobs.attach(
        job.id, rank: 0, instance: 77, caller: rig.buyer)
      let node = rig.node(of: running, 0)
      #expect(attachment.node == node.id)
      #expect(attachment.lease == rig.lease(running, 0))
      let client = MeshInstance.address(of: 77, of: rig.buyer)
      #expect(ways.withLock { $0 } == [.init(client: client, node: node.id)])
      let passes = await node.passes
      #expect(passes.map(\.client) == [client])
      #expect(passes.map(\.principal) == [rig.buyer])
      // It is not asked for again: the way closes.
      rig.time.advance(by: .seconds(ClientPass.lifetimeSeconds - 1))
      await rig.services.tick()
      #expect(ways.withLock { $0.count } == 1)
      rig.time.advance(by: .seconds(2))
      await rig.services.tick()
      #expect(ways.withLock { $0.isEmpty })
    }
  }

  @Test("another buyer, a supplier and a stranger do not")
  func others() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.submit(.sample(ranks: 1))
      try await rig.runs(try await rig.wait(for: job.id, .running), 0)
      for (caller, code) in [
        (rig.otherBuyer, IorunError.Code.notFound), (rig.nodes[0].id, .notAllowed),
        (PeerID.sample(5), .keyNotAdmitted),
      ] {
        await expect(throwsCode: code) {
          _ = try await rig.jobs.attach(job.id, rank: 0, instance: 1, caller: caller)
        }
      }
      for node in rig.nodes { #expect(await node.passes.isEmpty) }
    }
  }

  @Test("an operator does, and the job's history keeps it")
  func visitor() async throws {
    try await withRig { (rig) async throws in
      let job = try await rig.submit(.sample(ranks: 1))
      try await rig.runs(try await rig.wait(for: job.id, .running), 0)
      _ = try await rig.jobs.attach(job.id, rank: 0, instance: 1, caller: rig.operatorID)
      _ = try await rig.jobs.attach(job.id, rank: 0, instance: 1, caller: rig.operatorID)
      try await eventually("it is on disk") {
        let details = try await rig.services.store.read { db in
          try String.fetchAll(
            db, sql: "SELECT detail FROM events WHERE job = ? AND kind = 'attached'",
            arguments: [job.id.description])
        }
        return details.count == 1 && details[0].contains(rig.operatorID.short)
      }
    }
  }

  @Test("nobody does before it runs or after it ended, and both are told apart")
  func states() async throws {
    try await withRig { (rig) async throws in
      for node in rig.nodes { await node.set(holdsPreparation: true) }
      let job = try await rig.submit(.sample(ranks: 1))
      await expect(throwsCode: .wrongState) {
        _ = try await rig.jobs.attach(job.id, rank: 0, instance: 1, caller: rig.buyer)
      }
      await expect(throwsCode: .notFound) {
        _ = try await rig.jobs.attach(job.id, rank: 9, instance: 1, caller: rig.buyer)
      }
      for node in rig.nodes { await node.set(holdsPreparation: false) }
      let running = try await rig.wait(for: job.id, .running)
      try await rig.end(running, 0, .exited(status: 0))
      try await rig.wait(for: job.id, .succeeded)
      await expect(throwsCode: .rankEnded) {
        _ = try await rig.jobs.attach(job.id, rank: 0, instance: 1, caller: rig.buyer)
      }
    }
  }

  @Test("a client has a bounded number of ways at once")
  func bound() throws {
    var book = AttachmentBook()
    let owner = PeerID.sample(1)
    for index in 0..<AttachmentBook.mostOfOwner {
      let way = AttachmentBook.Way(client: .sample(1000 + index), node: .sample(2))
      #expect(try book.note(way, of: owner, until: .seconds(1)))
    }
    let more = AttachmentBook.Way(client: .sample(9), node: .sample(2))
    #expect(throws: IorunError.self) { try book.note(more, of: owner, until: .seconds(1)) }
    #expect(try book.note(more, of: .sample(7), until: .seconds(1)))
  }
}
