import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import IorunWire
import Testing

@testable import IorunHead

/// The head asks devices what they are: from a challenge to a mark, and what the mark means.
@Suite("Proofs in the network")
struct ProofDirectorTests {
  @Test("a new node that is what it claims is verified, with its numbers on record")
  func verified() async throws {
    try await withRig(cpus: [2], options: .proofs(.record)) { rig in
      #expect(try await rig.mark().status == .pending)
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let history = try await rig.history()
      #expect(history.device.mark.reason == "rates")
      #expect(history.verdicts.allSatisfy { $0.verdict.isAccepted })
      #expect(history.verdicts.count >= 3)
      // Lanes' work is exact: the head measured what the claim says.
      let lanes = history.verdicts.filter { $0.verdict.kind == .lane }
      #expect(lanes.allSatisfy { (0.9...1.1).contains($0.ratio) })
      #expect(Set(history.verdicts.map(\.verdict.kind)) == [.lane, .hash, .memory])
      #expect(try await rig.reasons() == ["rates"])
    }
  }

  @Test("a head that does not ask has no marks, and asks nobody")
  func off() async throws {
    try await withRig(cpus: [2]) { rig in
      for _ in 0..<5 {
        try await rig.pass(.seconds(1))
        await rig.director.tick()
      }
      #expect(await rig.prover().started.isEmpty)
      let nodes = try await rig.services.network.nodes(caller: rig.operatorID)
      #expect(nodes.allSatisfy { $0.mark == nil })
      #expect(try await rig.proofs.status(caller: rig.operatorID).mode == .off)
    }
  }

  @Test("a node at half of its claim fails, after one more run")
  func slow() async throws {
    try await withRig(cpus: [2], options: .proofs(.record)) { rig in
      await rig.prover().set(slowness: 2)
      try await rig.drive("it did not fail") { try await rig.mark().status == .failed }
      #expect(try await rig.reasons() == ["rerun:slow", "slow"])
    }
  }

  @Test("nodes that could be one are called at the same instant, in the window, too")
  func together() async throws {
    try await withRig(cpus: [1, 1], options: .proofs(.record)) { rig in
      func firstChallenges(ofEpoch epoch: Int64) async -> [Challenge] {
        var found: [Challenge] = []
        for prover in rig.provers.values {
          found += await prover.started.map(\.challenge).filter { $0.epoch == epoch }.prefix(1)
        }
        return found
      }
      let first = await rig.director.epoch
      try await rig.drive("not both were called") {
        await firstChallenges(ofEpoch: first).count == 2
      }
      var called = await firstChallenges(ofEpoch: first)
      #expect(Set(called.map(\.opensAtMilliseconds)).count == 1)
      #expect(Set(called.map(\.seed)).count == 2)
      try await rig.nextEpoch()
      let next = await rig.director.epoch
      try await rig.drive("the window did not begin", step: .seconds(10)) {
        await firstChallenges(ofEpoch: next).count == 2
      }
      called = await firstChallenges(ofEpoch: next)
      #expect(Set(called.map(\.opensAtMilliseconds)).count == 1)
      let start = try await rig.director.secrets.schedule.windowStart(of: next)
      #expect(called.allSatisfy { $0.opensAtMilliseconds >= start * 1000 })
      // What was committed to an hour before is what is revealed.
      let status = try await rig.proofs.status(caller: rig.buyer)
      let beacon = try #require(status.beacon)
      let combined = try Beacon.combined([beacon], commitments: [beacon.commitment])
      #expect(called.allSatisfy { $0.beacon == combined })
    }
  }

  @Test("the beacon of an epoch is committed to before, and not shown before its window")
  func beacon() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      let before = try await rig.proofs.status(caller: rig.operatorID)
      try await rig.nextEpoch()
      let after = try await rig.proofs.status(caller: rig.operatorID)
      #expect(after.epoch == before.epoch + 1)
      #expect(after.beacon == nil || after.beacon?.commitment == before.nextBeaconCommitment)
      let secret = try await rig.director.secrets.beacon(of: after.epoch)
      #expect(secret.commitment == before.nextBeaconCommitment)
    }
  }

  @Test("a log of an epoch is closed under a signed root that contains each entry")
  func log() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let epoch = await rig.director.epoch
      try await rig.nextEpoch()
      try await rig.nextEpoch()
      try await rig.drive("the log was not closed") {
        try await rig.history().logs.contains { $0.epoch == epoch }
      }
      let history = try await rig.history()
      let status = try await rig.proofs.status(caller: rig.operatorID)
      let head = try #require(history.logs.first { $0.epoch == epoch })
      let key = try VerifyingKey(rawRepresentation: status.verifierKey)
      #expect(head.isSigned(by: key))
      let entries = try await rig.services.store.transitions(ofEpoch: epoch)
      var log = VerdictLog(epoch: epoch)
      for entry in entries { try log.add(entry) }
      for (index, entry) in entries.enumerated() {
        #expect(head.contains(entry, at: index, path: log.path(to: index)))
      }
      #expect(!entries.isEmpty)
    }
  }

  @Test("enforce: a job waits for verified nodes and says so; `verification: any` does not wait")
  func enforce() async throws {
    try await withRig(cpus: [2], options: .proofs(.enforce)) { rig in
      let plan = try await rig.services.placement.plan(.sample(ranks: 1), caller: rig.buyer)
      let words = try #require(plan.refusal)
      #expect(words.contains("1 not verified"))
      #expect(words.contains("verification: any"))
      var careless = JobSpec.sample(ranks: 1)
      careless.verification = .any
      #expect(
        try await rig.services.placement.plan(careless, caller: rig.buyer).refusal == nil)
      #expect(try await rig.services.placement.offers(careless, caller: rig.buyer).count > 0)
      #expect(
        try await rig.services.placement.offers(.sample(ranks: 1), caller: rig.buyer).isEmpty)

      let job = try await rig.submit(.sample(ranks: 1))
      try await eventually("it does not say why it waits") {
        await rig.services.tick()
        return try await rig.status(job.id).reason?.contains("not verified") == true
      }
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      try await rig.wait(for: job.id, .running, advancing: .milliseconds(100))
    }
  }

  @Test(
    "a job that says `verification: required` waits for a verified node where only records are kept, too"
  )
  func requiredByJob() async throws {
    try await withRig(cpus: [2], options: .proofs(.record)) { rig in
      var strict = JobSpec.sample(ranks: 1)
      #expect(try await rig.services.placement.plan(strict, caller: rig.buyer).refusal == nil)
      strict.verification = .required
      let words = try #require(
        try await rig.services.placement.plan(strict, caller: rig.buyer).refusal)
      #expect(words.contains("1 not verified"))
      let job = try await rig.submit(strict)
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      try await rig.wait(for: job.id, .running, advancing: .milliseconds(100))
    }
  }

  @Test(
    "enforce: tasks wait for a verified node, too, and are refused where even that would not do")
  func enforceTasks() async throws {
    try await withRig(cpus: [2], options: .proofs(.enforce)) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      rig.time.advance(by: .seconds(2))
      await rig.services.tick()
      await expect(throwsCode: .noPlacement) {
        try await rig.lease(job, RuntimeDemand(resources: .cpus(8)))
      }
      let waiting = Task { try await rig.lease(job, RuntimeDemand(resources: .cpus(1))) }
      try await eventually("it does not wait") {
        await rig.services.tick()
        return await rig.bridge(0).calls.contains("recall")
      }
      #expect(await !rig.bridge(0).calls.contains("grant"))
      // The node is a member all the same, and alive.
      let node = try await rig.cluster.clusterNodes(caller: rig.nodes[0].id).first
      #expect(node?.alive == true)
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      await rig.services.tick()
      #expect(try await waiting.value.node == rig.bridge(0).node)
    }
  }

  @Test("a newcomer's first rounds are short, so that it is verified within seconds")
  func admission() async throws {
    var options = HeadOptions.proofs(.record)
    options.proofs.round = .milliseconds(200)
    options.proofs.admissionRound = .milliseconds(50)
    try await withRig(cpus: [1], options: options) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let first = await rig.searches()
      #expect(!first.isEmpty && first.allSatisfy { $0 == 50 })
      // It knows of its mark from the head's next answer.
      let orders = try await rig.services.nodes.heartbeat(
        leases: [], roundTripMilliseconds: 1, caller: rig.nodes[0].id)
      #expect(orders.mark?.status == .verified)
      // The hour's run is a whole one.
      try await rig.nextEpoch()
      try await rig.drive("it was not run again", step: .seconds(10)) {
        await rig.searches().count > first.count
      }
      #expect(await rig.searches().dropFirst(first.count).allSatisfy { $0 == 200 })
    }
  }

  @Test("a newcomer that fails its short rounds is run again with whole ones")
  func failedAdmission() async throws {
    var options = HeadOptions.proofs(.record)
    options.proofs.round = .milliseconds(200)
    options.proofs.admissionRound = .milliseconds(50)
    // The longer a search lasts, the more of the small claim's time is in it.
    options.proofs.slack = .seconds(1800)
    try await withRig(cpus: [1], options: options) { rig in
      await rig.prover().set(slowness: 2, inSearchesBelow: 200)
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let searches = await rig.searches()
      #expect(searches.contains(50) && searches.last == 200)
      let reasons = try await rig.reasons()
      #expect(reasons == ["rerun:slow", "rates"])
    }
  }

  @Test("nodes on one board are one group, whatever else differs", arguments: [true, false])
  func board(isShared: Bool) async throws {
    try await withRig(cpus: [1, 1], options: .proofs(.record)) { rig in
      var alive = Dictionary(
        uniqueKeysWithValues: await rig.director.directory.snapshot().map { ($0.id, $0) })
      for (index, node) in rig.nodes.enumerated() {
        var profile = try await rig.prover(index).profile(caller: rig.head)
        profile.board = SHA256.digest(of: [isShared ? 7 : UInt8(index)])
        try await rig.director.met(node.id, profile)
        alive[node.id]?.facts.address = "198.51.\(index).1"
      }
      #expect(await rig.director.groups(alive).groups.count == (isShared ? 1 : 2))
    }
  }

  @Test("a hired node gets a check of one core's lanes, and a full run when its lease ends")
  func hired() async throws {
    try await withRig(cpus: [2], options: .proofs(.record)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let job = try await rig.submit(.sample(ranks: 1))
      try await rig.wait(for: job.id, .running, advancing: .milliseconds(100))
      let full = await rig.prover().started.count
      let epoch = await rig.director.epoch
      try await rig.nextEpoch()
      try await rig.drive("no lane check came", step: .seconds(10)) {
        await rig.prover().verdicts.last?.epoch == epoch + 1
      }
      let checks = await rig.prover().started.dropFirst(full)
      #expect(checks.allSatisfy { $0.besideJobs && $0.challenge.puzzle.kind == .lane })
      try await rig.drive("the check prolonged nothing") {
        try await rig.mark().untilEpoch == epoch + 2
      }
      try await rig.end(try await rig.status(job.id), 0, .exited(status: 0))
      try await rig.drive("no full run came") {
        await rig.prover().started.last?.besideJobs == false
      }
      try await rig.drive("the run did not end") {
        await rig.director.devices[rig.device()]?.state.isOpen == false
      }
      #expect(try await rig.mark().status == .verified)
    }
  }

  @Test("a node that says that jobs have it is not marked for it, and is asked again later")
  func busy() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(isBusy: true)
      try await rig.drive("it was not asked twice", step: .seconds(5)) {
        await rig.prover().started.count >= 2
      }
      #expect(try await rig.mark().status == .pending)
      #expect(try await rig.reasons().isEmpty)
      await rig.prover().set(isBusy: false)
      try await rig.drive("it was not verified", step: .seconds(5)) {
        try await rig.mark().status == .verified
      }
    }
  }

  @Test("a node that offers other cores than it proved begins anew")
  func claimChanged() async throws {
    try await withRig(cpus: [2], options: .proofs(.record)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      var profile = try await rig.prover().profile(caller: rig.head)
      profile.cores = 4
      try await rig.director.met(rig.nodes[0].id, profile)
      try await rig.director.flush()
      #expect(try await rig.mark().status == .pending)
      #expect(try await rig.reasons() == ["rates", "claim_changed"])
      // Nobody takes another node's device, nor claims what no machine has.
      await expect(throwsCode: .notAllowed) {
        try await rig.director.met(.sample(4), profile)
      }
      profile.rates[.hash] = .infinity
      await expect(throwsCode: .malformed) {
        try await rig.director.met(rig.nodes[0].id, profile)
      }
    }
  }
}
