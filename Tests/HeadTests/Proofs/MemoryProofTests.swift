import IorunContract
import IorunCore
import IorunPoW
import Testing

@testable import IorunHead

/// Memory is filled first and timed then, for all that could be one machine at once.
@Suite("Proofs of memory in the network")
struct MemoryProofTests {
  @Test("a node's memory is filled and walked over, and each capability is on record")
  func verified() async throws {
    try await withRig(cpus: [2], options: .proofs(.record)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let history = try await rig.history()
      #expect(
        history.device.capabilities
          == [.lane: .verified, .hash: .verified, .memory: .verified])
      let walks = history.verdicts.filter { $0.verdict.kind == .memory }
      let tables = await rig.prover().tables
      // One table for all walks of the run.
      #expect(tables.count == 1 && walks.count == 3)
      let bytes = try #require(tables.first?.byteCount)
      #expect(walks.allSatisfy { $0.verdict.isAccepted && $0.memory == Bytes(UInt64(bytes)) })
      // Two and a half times what is out of reach without the memory.
      #expect(walks.allSatisfy { (2.2...2.6).contains($0.ratio) }, "\(walks.map(\.ratio))")
      let rating = try #require(history.transitions.first?.entry.rating)
      #expect(rating.capabilities.map(\.kind) == [.lane, .hash, .memory])
      #expect(history.transitions.first?.entry.text.contains(";mem:") == true)
    }
  }

  @Test("how long filling takes does not count")
  func slowFill() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(fillTime: .seconds(60))
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let walks = try await rig.history().verdicts.filter { $0.verdict.kind == .memory }
      #expect(walks.allSatisfy { $0.ratio > 2.2 })
    }
  }

  @Test("a node without a tenth of its memory fails for it alone", arguments: [0.1, 0.2])
  func missing(part: Double) async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(missing: part)
      try await rig.drive("it did not fail") { try await rig.mark().status == .failed }
      #expect(try await rig.reasons() == ["rerun:slow", "slow"])
      let device = try await rig.history().device
      #expect(
        device.capabilities == [.lane: .verified, .hash: .verified, .memory: .failed])
    }
  }

  @Test("a node that has not free what it states fails, and the reason says so")
  func noMemory() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(lacksMemory: true)
      try await rig.drive("it did not fail") { try await rig.mark().status == .failed }
      let reasons = try await rig.reasons()
      #expect(reasons == ["rerun:no_memory", "no_memory"])
      #expect(try await rig.history().device.capabilities[.memory] == .failed)
    }
  }

  @Test("a table that is never full is an answer that never came")
  func neverFull() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(isStuckFilling: true)
      try await rig.drive("it did not fail", step: .seconds(20)) {
        try await rig.mark().status == .failed
      }
      #expect(try await rig.reasons() == ["rerun:unanswered", "unanswered"])
    }
  }

  @Test("nodes that could be one walk at the same instant: no memory serves two in turn")
  func together() async throws {
    try await withRig(cpus: [1, 1], options: .proofs(.record)) { rig in
      // Each moves the clock that the other is measured by.
      for prover in rig.provers.values { await prover.set(slowness: 0.3) }
      // One of them is late.
      await rig.prover(1).set(isStuckFilling: true)
      try await rig.drive("the first is not ready") {
        await rig.director.devices[rig.device()]?.table?.isReady == true
      }
      // In small steps: the second must not be too late before all this is looked at.
      try await rig.drive("the second was not asked", step: .milliseconds(20)) {
        await rig.director.devices[rig.device(1)]?.table != nil
      }
      for _ in 0..<3 { await rig.director.tick() }
      func walks(_ index: Int) async -> [Challenge] {
        await rig.prover(index).started.map(\.challenge).filter { $0.puzzle.kind == .memory }
      }
      #expect(await walks(0).isEmpty)
      await rig.prover(1).set(isStuckFilling: false)
      try await eventually("they do not walk") {
        let (first, second) = (await walks(0), await walks(1))
        return !first.isEmpty && !second.isEmpty
      }
      #expect(await walks(0).first?.opensAtMilliseconds == walks(1).first?.opensAtMilliseconds)
    }
  }

  @Test("a node whose jobs take the machine while it fills is not marked for it")
  func busy() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(isBusyFilling: true)
      try await rig.drive("it was not asked") { await !rig.prover().tables.isEmpty }
      try await rig.drive("it was not asked again", step: .seconds(5)) {
        await rig.prover().tables.count >= 2
      }
      let reasons = try await rig.reasons()
      #expect(reasons == [])
      await rig.prover().set(isBusyFilling: false)
      try await rig.drive("it was not verified", step: .seconds(5)) {
        try await rig.mark().status == .verified
      }
    }
  }

  @Test("a node that would prove less than it offers is not asked for anything")
  func lessThanOffered() async throws {
    try await withRig(cpus: [2], options: .proofs(.record)) { rig in
      await rig.prover().set(memory: .gibi(1))
      try await rig.drive("time does not pass", step: .seconds(10)) {
        await rig.prover().profiles >= 2
      }
      #expect(await rig.prover().started.isEmpty)
      #expect(try await rig.mark().status == .pending)
    }
  }
}
