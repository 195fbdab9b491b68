import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPath
import IorunWire
import Testing

@testable import IorunHead

/// Who may call what: the table against the services, for each method, role and owner.
@Suite("Rights")
struct RightsTests {
  /// What a call is made with.
  struct Scene: Sendable {
    let rig: Rig
    let job: JobStatus
    let actor: RuntimeActorSpec
    let runtimeJob: RuntimeJob
  }

  typealias Call = @Sendable (Scene, _ caller: PeerID) async throws -> Void

  /// One call of each method that the head serves.
  static let calls: [String: Call] = [
    "JobManager.submit": { scene, caller in
      _ = try await scene.rig.jobs.submit(
        SubmitRequest(submissionID: "rights", spec: .sample(), workingFolder: nil), caller: caller)
    },
    "JobManager.jobs": { scene, caller in
      let jobs = try await scene.rig.jobs.jobs(limit: 10, caller: caller)
      guard jobs.contains(where: { $0.id == scene.job.id }) else {
        throw IorunError(.notFound, "the job is not listed")
      }
    },
    "JobManager.watch": { scene, caller in
      _ = try await scene.rig.jobs.watch(
        scene.job.id, after: -1, waitMilliseconds: 0, caller: caller)
    },
    "JobManager.cancel": { scene, caller in
      _ = try await scene.rig.jobs.cancel(scene.job.id, caller: caller)
    },
    "JobManager.logs": { scene, caller in
      _ = try await scene.rig.jobs.logs(
        scene.job.id, rank: nil, cursors: [], waitMilliseconds: 0, caller: caller)
    },
    "JobManager.outputs": { scene, caller in
      _ = try await scene.rig.jobs.outputs(scene.job.id, after: -1, caller: caller)
    },
    "JobManager.attach": { scene, caller in
      _ = try await scene.rig.jobs.attach(scene.job.id, rank: 0, instance: 1, caller: caller)
    },
    "Placer.plan": { scene, caller in
      _ = try await scene.rig.services.placement.plan(.sample(), caller: caller)
    },
    "Placer.offers": { scene, caller in
      _ = try await scene.rig.services.placement.offers(.sample(), caller: caller)
    },
    "Placer.explain": { scene, caller in
      _ = try await scene.rig.services.placement.explain(scene.job.id, caller: caller)
    },
    "RuntimeOverview.list": { scene, caller in
      let listing = try await scene.rig.services.runtime.list(.jobs, limit: 9, caller: caller)
      guard !listing.items.isEmpty else { throw IorunError(.notFound, "nothing is listed") }
    },
    "RuntimeOverview.nodes": { scene, caller in
      _ = try await scene.rig.services.runtime.nodes(caller: caller)
    },
    "NetworkOverview.status": { _ = try await $0.rig.services.network.status(caller: $1) },
    "NetworkOverview.sites": { _ = try await $0.rig.services.network.sites(caller: $1) },
    "NetworkOverview.nodes": { _ = try await $0.rig.services.network.nodes(caller: $1) },
    "NetworkOverview.createTicket": { scene, caller in
      _ = try await scene.rig.services.network.createTicket(
        TicketRequest(role: .buyer, uses: 1, lifetimeSeconds: 1, label: ""), caller: caller)
    },
    "NetworkOverview.tickets": { _ = try await $0.rig.services.network.tickets(caller: $1) },
    "NetworkOverview.revokeTicket": {
      try await $0.rig.services.network.revokeTicket("none", caller: $1)
    },
    "NetworkOverview.peers": { _ = try await $0.rig.services.network.peers(caller: $1) },
    "NetworkOverview.revokePeer": {
      _ = try await $0.rig.services.network.revokePeer("none", caller: $1)
    },
    "NetworkOverview.authorities": {
      _ = try await $0.rig.services.network.authorities(caller: $1)
    },
    "NetworkOverview.rotateAuthority": {
      _ = try await $0.rig.services.network.rotateAuthority(atOnce: false, caller: $1)
    },
    "NetworkOverview.setQuota": {
      _ = try await $0.rig.services.network.setQuota(TenantQuota(tenant: "t"), caller: $1)
    },
    "NetworkOverview.removeQuota": {
      try await $0.rig.services.network.removeQuota(of: "none", caller: $1)
    },
    "NetworkOverview.tenants": { _ = try await $0.rig.services.network.tenants(caller: $1) },
    "NetworkOverview.drain": {
      _ = try await $0.rig.services.network.drain("none", isDrained: true, caller: $1)
    },
    "ContentExchange.missing": {
      _ = try await $0.rig.services.content.missing(of: [], caller: $1)
    },
    "ContentExchange.put": {
      _ = try await $0.rig.services.content.put(Data("x".utf8), caller: $1)
    },
    "ContentExchange.get": {
      _ = try await $0.rig.services.content.get(SHA256.digest(of: [UInt8]()), caller: $1)
    },
    "Admissions.admit": {
      _ = try await $0.rig.services.admission.admit(
        publicKey: sampleKey(77), name: "n", caller: $1)
    },
    "Admissions.renew": { _ = try await $0.rig.services.admission.renew(caller: $1) },
    "NodeRegistry.register": { scene, caller in
      _ = try await scene.rig.services.nodes.register(
        NodeRegistration(facts: .sample("n"), leases: []), caller: caller)
    },
    "NodeRegistry.announce": {
      try await $0.rig.services.nodes.announce(NodeAvailability(hold: "h"), caller: $1)
    },
    "NodeRegistry.heartbeat": {
      _ = try await $0.rig.services.nodes.heartbeat(
        leases: [], roundTripMilliseconds: nil, caller: $1)
    },
    "NodeRegistry.report": { scene, caller in
      try await scene.rig.services.nodes.report(
        LeaseReport(
          id: LeaseID(job: .sample, attempt: 1, rank: 0), epoch: 1, executor: .sample(1),
          state: .running), caller: caller)
    },
    "NodeRegistry.measured": {
      _ = try await $0.rig.services.nodes.measured(
        NodeMeasurements(coordinate: NetworkCoordinate(), peers: []), caller: $1)
    },
    "NodeRegistry.leave": { try await $0.rig.services.nodes.leave(caller: $1) },
    "LogSink.append": {
      _ = try await $0.rig.services.nodes.appendLog(
        LeaseID(job: .sample, attempt: 1, rank: 0), epoch: 1, offset: 0, bytes: Data(),
        caller: $1)
    },
    "Proofs.challenge": { _ = try await $0.rig.services.proofs.challenge(caller: $1) },
    "Proofs.openSession": {
      _ = try await $0.rig.services.proofs.openSession(try FakeProver.strayHello(), caller: $1)
    },
    "Proofs.commit": {
      _ = try await $0.rig.services.proofs.commit(try FakeProver.strayCommitment(), caller: $1)
    },
    "Proofs.submit": {
      _ = try await $0.rig.services.proofs.submit(try FakeProver.strayProof(), caller: $1)
    },
    "Proofs.gaveWay": { try await $0.rig.services.proofs.gaveWay([1], caller: $1) },
    "Proofs.status": { _ = try await $0.rig.services.proofs.status(caller: $1) },
    "Proofs.history": {
      _ = try await $0.rig.services.proofs.history("none", limit: 1, caller: $1)
    },
    "Rendezvous.relays": { _ = try await $0.rig.services.rendezvous.relays(caller: $1) },
    "Rendezvous.paths": { _ = try await $0.rig.services.rendezvous.paths(caller: $1) },
    "Rendezvous.meet": {
      _ = try await $0.rig.services.rendezvous.meet(
        $0.rig.nodes[1].id, RightsTests.pathEnd, relayRoundTripsMilliseconds: [:], caller: $1)
    },
    "Rendezvous.echo": {
      _ = try await $0.rig.services.rendezvous.echo($0.rig.nodes[1].id, caller: $1)
    },
    "Rendezvous.report": {
      _ = try await $0.rig.services.rendezvous.report(
        PathReport(
          end: RightsTests.pathEnd, relayRoundTripsMilliseconds: [:], paths: []), caller: $1)
    },
    "Rendezvous.offerRelay": {
      try await $0.rig.services.rendezvous.offerRelay(
        RelayRegistration(
          name: "r", addresses: [], streamPort: 0, secret: Array(repeating: 1, count: 32),
          bytes: [:]), caller: $1)
    },
    "Rendezvous.gangPasses": {
      _ = try await $0.rig.services.rendezvous.gangPasses($0.job.id, attempt: 1, caller: $1)
    },
    "ClusterControl.register": { scene, caller in
      _ = try await scene.rig.cluster.register(
        ClusterRegistration(
          total: .cpus(1), available: .cpus(1), labels: [:], drivers: [], jobs: [], actors: [],
          bundles: []), caller: caller)
    },
    "ClusterControl.update": {
      try await $0.rig.cluster.update(available: .cpus(1), waiting: 0, number: 1, caller: $1)
    },
    "ClusterControl.openJob": { _ = try await $0.rig.cluster.openJob($0.runtimeJob, caller: $1) },
    "ClusterControl.closeJob": {
      try await $0.rig.cluster.closeJob(.sample, reason: "", caller: $1)
    },
    "ClusterControl.job": { _ = try await $0.rig.cluster.job($0.runtimeJob.job, caller: $1) },
    "ClusterControl.lease": { scene, caller in
      _ = try await scene.rig.cluster.lease(
        RuntimeDemand(resources: .cpus(1)), job: scene.runtimeJob.job,
        holder: scene.runtimeJob.driver, ticket: .random(in: 1...9999), caller: caller)
    },
    "ClusterControl.cancelLease": {
      try await $0.rig.cluster.cancelLease(10_000, holder: $0.runtimeJob.driver, caller: $1)
    },
    "ClusterControl.createActor": {
      _ = try await $0.rig.cluster.createActor($0.actor, getIfExists: false, caller: $1)
    },
    "ClusterControl.actor": { _ = try await $0.rig.cluster.actor($0.actor.actor, caller: $1) },
    "ClusterControl.actorNames": {
      _ = try await $0.rig.cluster.actorNames(namespace: nil, caller: $1)
    },
    "ClusterControl.killActor": {
      try await $0.rig.cluster.killActor($0.actor.actor, noRestart: true, caller: $1)
    },
    "ClusterControl.releaseActor": {
      try await $0.rig.cluster.releaseActor($0.actor.actor, caller: $1)
    },
    "ClusterControl.actorChanged": {
      try await $0.rig.cluster.actorChanged(RuntimeActorStatus($0.actor), caller: $1)
    },
    "ClusterControl.createGroup": {
      _ = try await $0.rig.cluster.createGroup(
        .sample(5, $0.runtimeJob, [.cpus(1)]), caller: $1)
    },
    "ClusterControl.waitGroup": {
      _ = try await $0.rig.cluster.waitGroup(
        GroupID(high: 9, low: 77), milliseconds: 0, caller: $1)
    },
    "ClusterControl.removeGroup": {
      try await $0.rig.cluster.removeGroup(GroupID(high: 9, low: 77), caller: $1)
    },
    "ClusterControl.groups": { _ = try await $0.rig.cluster.groups(nil, name: nil, caller: $1) },
    "ClusterControl.clusterNodes": { _ = try await $0.rig.cluster.clusterNodes(caller: $1) },
  ]

  private static let pathEnd = PathEnd(
    key: Array(repeating: 2, count: 32), natClass: .unknown, candidates: [])

  /// Actors that nodes serve; their rights are tested in `NodeRightsTests` of the workers.
  private static let nodeActors: Set<String> = [
    "NodeAgent", "NodeBridge", "NodeObjects", "ExecutorDesk", "PathDesk", "Prover", "ProofStreams",
    "RankDesk", "BulkStreams", "TerminalStreams",
  ]

  @Test("every distributed method has a right, and a call here where the head serves it")
  func complete() throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../Sources/Contract/Actors")
    var found: Set<String> = []
    for file in try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    {
      let text = try String(contentsOf: file, encoding: .utf8)
      guard let actor = text.firstMatch(of: /distributed actor (\w+)/)?.1 else { continue }
      for match in text.matches(of: /distributed func (\w+)/) {
        found.insert("\(actor).\(match.1)")
      }
    }
    #expect(found.count > 50)
    #expect(found == Set(MethodRights.table.keys))
    let served = found.filter { name in !Self.nodeActors.contains { name.hasPrefix($0 + ".") } }
    #expect(served == Set(Self.calls.keys))
  }

  /// What became of a call.
  private enum Outcome: String {
    case allowed, refused, hidden
  }

  private func outcome(_ call: Call, _ scene: Scene, _ caller: PeerID) async -> Outcome {
    do {
      try await call(scene, caller)
      return .allowed
    } catch let error as IorunError {
      switch error.code {
      case .keyNotAdmitted, .notAllowed, .ticketInvalid: return .refused
      case .notFound: return .hidden
      default: return .allowed
      }
    } catch {
      return .allowed
    }
  }

  @Test("the services keep to the table: each method, each role, one's own and others'")
  func table() async throws {
    for (name, call) in Self.calls.sorted(by: { $0.key < $1.key }) {
      // A head of its own for each, so that no call changes what the next one finds.
      try await withRig(cpus: [4, 4]) { (rig) async throws in
        try await rig.registerBridges()
        let runtimeJob = try await rig.openJob()
        let scene = Scene(
          rig: rig, job: try await rig.submit(.sample()), actor: .sample(1, runtimeJob),
          runtimeJob: runtimeJob)
        _ = try await rig.create(scene.actor)
        _ = try await rig.services.network.createTicket(
          TicketRequest(role: .operator, uses: 9, lifetimeSeconds: 60, label: ""),
          caller: rig.operatorID)
        let ticket = try PeerDirectory.id(of: sampleKey(201))
        let right = try #require(MethodRights.table[name])

        for stranger in [PeerID.sample(4242), rig.head] {
          #expect(await outcome(call, scene, stranger) == .refused, "\(name) by a stranger")
        }
        let isTicketAllowed = right == .join
        #expect(
          await outcome(call, scene, ticket) == (isTicketAllowed ? .allowed : .refused),
          "\(name) by a ticket")
        // Owners last: theirs are the calls that change something.
        let callers: [(PeerID, Role, String)] = [
          (rig.otherBuyer, .buyer, "another buyer"), (rig.buyer, .buyer, "the buyer"),
          (rig.nodes[0].id, .supplier, "a node"), (rig.operatorID, .operator, "an operator"),
        ]
        for (caller, role, who) in callers {
          let isAllowed = right.roles.contains(role)
          // The operator offers no node here: what waits for its runtime side would wait for ever.
          if isAllowed, role == .operator, name.hasPrefix("ClusterControl.") { continue }
          let outcome = await outcome(call, scene, caller)
          if !isAllowed {
            #expect(outcome == .refused, "\(name) by \(who)")
          } else if right == .reachOwnNodes || right == .serveOwnGang {
            // The buyer has a rank there and the node may share its gang; nobody else has.
            if who == "another buyer" { #expect(outcome == .refused, "\(name) by \(who)") }
            if role == .operator, right == .reachOwnNodes {
              #expect(outcome != .refused, "\(name) by \(who)")
            }
          } else if right.isForOwnOnly, who == "another buyer", name != "RuntimeOverview.nodes" {
            #expect(outcome == .hidden, "\(name) by \(who)")
          } else if right.isForOwnOnly, role == .operator {
            #expect(outcome == .allowed, "\(name) by \(who)")
          } else {
            #expect(outcome != .refused, "\(name) by \(who)")
          }
        }
      }
    }
  }

  @Test("peers of one tenant see each other's jobs; others do not, nor does a name alone help")
  func tenants() async throws {
    try await withRig { (rig) async throws in
      func join(_ ticket: UInt8, _ key: UInt8, owner: String) async throws -> PeerID {
        _ = try await rig.services.network.createTicket(
          TicketRequest(role: .buyer, owner: owner, uses: 1, lifetimeSeconds: 60, label: ""),
          caller: rig.operatorID)
        return try await rig.services.admission.admit(
          publicKey: sampleKey(key), name: "acme", caller: PeerDirectory.id(of: sampleKey(ticket))
        ).peer
      }
      let one = try await join(201, 60, owner: "acme")
      let two = try await join(202, 61, owner: "acme")
      let rival = try await join(203, 62, owner: "rival")
      let alone = try await join(204, 63, owner: "")
      let job = try await rig.submit(.sample(), by: one)
      #expect(try await rig.jobs.jobs(limit: 9, caller: two).map(\.id) == [job.id])
      #expect(try await rig.services.network.status(caller: two).jobs.values.reduce(0, +) == 1)
      for other in [rival, alone, rig.buyer] {
        #expect(try await rig.jobs.jobs(limit: 9, caller: other).isEmpty)
        await expect(throwsCode: .notFound) { try await rig.jobs.cancel(job.id, caller: other) }
      }
      // It stays so after a restart.
      await rig.kill()
      try await rig.open()
      #expect(try await rig.jobs.jobs(limit: 9, caller: two).map(\.id) == [job.id])
      #expect(try await rig.jobs.jobs(limit: 9, caller: rival).isEmpty)
      #expect(try await rig.jobs.cancel(job.id, caller: two).id == job.id)
    }
  }
}
