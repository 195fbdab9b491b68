import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Synchronization
import TestSupport
import Testing

@testable import IorunWorker

/// A node's GPUs as provers, with the processor in the GPUs' place: the same answers, by the same orders.
@Suite("A GPU's prover", .timeLimit(.minutes(1)))
struct GPUProverTests {
  /// The work in this process, on the processor.
  private final class Backend: GPUBackend {
    let solver: GPUSolver
    let hasEnded = Mutex(false)
    private let tasks = Mutex<[Task<GPUProcess.Outcome, any Error>]>([])

    init() throws { solver = try GPUSolver(.processor) }

    func perform(_ work: GPUProcess.Work) async throws -> GPUProcess.Outcome {
      let task = Task { [solver] in try await GPUProcess.perform(work, on: solver) }
      tasks.withLock { $0.append(task) }
      if hasEnded.withLock({ $0 }) { task.cancel() }
      return try await task.value
    }

    func hold(_ isHeld: Bool) {}
    func end() {
      hasEnded.withLock { $0 = true }
      for task in tasks.withLock({ $0 }) { task.cancel() }
    }
  }

  private final class Verifier: VerifierLink {
    let issuer: ChallengeIssuer
    private let desk: Mutex<ProofDesk>
    let gaveWay = Mutex<[[UInt8]]>([])
    let hellos = Mutex<Set<DeviceID>>([])
    static let opens: Int64 = 1_728_000_000_000

    init() throws {
      issuer = try ChallengeIssuer(secret: Array(repeating: 3, count: 32))
      desk = Mutex(ProofDesk(IorunPoW.Verifier(issuer)))
    }

    func challenge(_ puzzle: Puzzle, for device: DeviceID) throws -> Challenge {
      try issuer.challenge(
        puzzle, for: device, epoch: 480_000, beacon: SHA256.digest(of: [1]), round: 0,
        opensAtMilliseconds: Self.opens, deadlineMilliseconds: Self.opens + 60_000)
    }

    /// As a head that has no sessions: everything is signed.
    func openSession(_ hello: ProofSession.Hello) async throws -> Digest {
      hellos.withLock { $0 = $0.union([hello.device]) }
      throw IorunError(.notFound, "no such method")
    }

    func commit(_ commitment: Commitment) async throws -> OpeningRequest {
      try desk.withLock {
        try $0.commit(
          commitment, from: .anybody, epoch: 480_000, nowMilliseconds: Self.opens + 100)
      }
    }

    func submit(_ proof: Proof) async throws -> Verdict {
      try desk.withLock {
        try $0.submit(proof, from: .anybody, epoch: 480_000, nowMilliseconds: Self.opens + 100)
      }
    }

    func gaveWay(_ challenge: [UInt8]) async throws {
      gaveWay.withLock { $0.append(challenge) }
    }
  }

  private let head = PeerID(high: 1, low: 1)
  private let key: SigningKey
  private let verifier: Verifier
  private let machine = FakeMachine()
  private let prover: ProverCore
  private let gpus: [GPUProver]

  init() throws {
    let (key, verifier) = (try SigningKey(), try Verifier())
    (self.key, self.verifier) = (key, verifier)
    let shared = SharedMachine(machine.idle)
    let (made, head) = (Made(), self.head)
    gpus = try (0..<2).map { number in
      let gpu = NodeFacts.GPU(model: "a GPU", uuid: "GPU-\(number)", memory: .mebi(64))
      return try GPUProver(
        gpu, key: GPUProver.key(of: gpu.uuid, node: key), head: head, verifier: verifier,
        machine: shared,
        calibration: .milliseconds(20)
      ) { _ in
        let backend = try Backend()
        made.all.withLock { $0.append(backend) }
        return backend
      }
    }
    self.made = made
    prover = ProverCore(
      key: key, head: head, verifier: verifier, machine: machine.idle, cores: 2,
      memory: .mebi(64), calibration: .milliseconds(20), gpus: gpus)
  }

  private final class Made: Sendable { let all = Mutex<[Backend]>([]) }
  private let made: Made

  private func order(_ device: DeviceID, labels: Int = 2048) throws -> TableOrder {
    try TableOrder(
      device: device, epoch: 480_000, beacon: SHA256.digest(of: [1]), labels: labels,
      labelSteps: 32, isOnGPU: true)
  }

  private func round(_ device: DeviceID) throws -> [Challenge] {
    try [
      .gpuMemory(
        MemoryPuzzle(
          labels: 2048, labelSteps: 32, cores: 1, segments: 2, segmentSteps: 64, openings: 2)),
      .product(ProductPuzzle(size: 128, layers: 2, openings: 4)),
    ].map { try verifier.challenge($0, for: device) }
  }

  private func ends(_ count: Int) async throws -> [WorkerStatus.Proof.Last] {
    while true {
      let ends = await prover.ownersView.latest
      if ends.count >= count { return ends }
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  @Test("each GPU claims what it does, as a device of its own")
  func claims() async throws {
    let profiles = try await prover.gpus(caller: head)
    #expect(Set(profiles.compactMap(\.gpu?.uuid)) == ["GPU-0", "GPU-1"])
    #expect(Set(profiles.map(\.device)).union([prover.device]).count == 3)
    for profile in profiles {
      #expect(profile.memory == .mebi(64) && (profile.gpu?.labelRate ?? 0) > 0)
      #expect((profile.rates[.product] ?? 0) > 0 && (profile.rates[.gpuMemory] ?? 0) > 0)
    }
    // Nothing is left on them, and the machine is free.
    #expect(made.all.withLock { $0.allSatisfy { $0.hasEnded.withLock { $0 } } })
    #expect(!machine.isTaken)
    // The same keys on the same node, others on another.
    #expect(try GPUProver.key(of: "GPU-0", node: key).publicKey == gpus[0].device.bytes)
    #expect(try GPUProver.key(of: "GPU-0", node: SigningKey()).publicKey != gpus[0].device.bytes)
  }

  @Test("memory is filled, and walks and products over it are accepted; two GPUs share the machine")
  func solves() async throws {
    for gpu in gpus {
      #expect(try await prover.prepare(order(gpu.device), caller: head) == .ready)
    }
    #expect(machine.isTaken && machine.takes == 1)
    for gpu in gpus {
      for challenge in try round(gpu.device) {
        #expect(try await prover.start(challenge, besideJobs: false, caller: head) == .started)
      }
    }
    let ends = try await ends(4)
    #expect(ends.allSatisfy { $0.isAccepted == true }, "\(ends)")
    #expect(Set(ends.map(\.kind)) == ["gpu.mm", "gpu.mem"])
    // Each asked for a session of its own; an older head has none, which costs nobody anything.
    try await eventually("a GPU asks for no session") {
      verifier.hellos.withLock { $0 } == Set(gpus.map(\.device))
    }
    // The node's own work sends them away.
    _ = try await prover.profile(caller: head)
    #expect(!machine.isTaken)
  }

  @Test("a job that starts ends the process, and the head is told; nothing begins beside jobs")
  func givesWay() async throws {
    let device = gpus[0].device
    #expect(try await prover.prepare(order(device), caller: head) == .ready)
    let long = try verifier.challenge(
      .gpuMemory(
        MemoryPuzzle(
          labels: 2048, labelSteps: 32, cores: 1, segments: 3000, segmentSteps: 1024, openings: 2)),
      for: device)
    #expect(try await prover.start(long, besideJobs: false, caller: head) == .started)
    machine.use()
    while verifier.gaveWay.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(2)) }
    #expect(verifier.gaveWay.withLock { $0 } == [long.id])
    #expect(made.all.withLock { $0.allSatisfy { $0.hasEnded.withLock { $0 } } })
    #expect(try await prover.prepare(order(device), caller: head) == .busy)
    #expect(try await prover.start(long, besideJobs: false, caller: head) == .busy)
    await #expect(throws: IorunError.self) { _ = try await prover.gpus(caller: head) }
  }

  @Test("orders that are no GPU's, and too large ones, are refused")
  func refused() async throws {
    let device = gpus[0].device
    let other = try TableOrder(
      device: device, epoch: 480_000, beacon: SHA256.digest(of: [1]), labels: 2048, labelSteps: 32)
    await #expect(throws: IorunError.self) { _ = try await prover.prepare(other, caller: head) }
    await #expect(throws: IorunError.self) {
      _ = try await prover.prepare(order(device, labels: 4 << 20), caller: head)
    }
    let hash = try verifier.challenge(.hash(HashPuzzle(milliseconds: 1)), for: device)
    await #expect(throws: IorunError.self) {
      _ = try await prover.start(hash, besideJobs: false, caller: head)
    }
    // A walk over memory that was not filled.
    let walk = try round(device)[0]
    #expect(try await prover.start(walk, besideJobs: false, caller: head) == .busy)
  }

  @Test("the program itself does the same as a process, says what is missing, and can be ended")
  func process() async throws {
    let program = BuiltProgram.path("iorun")
    let gpu = NodeFacts.GPU(model: "a GPU", uuid: "GPU-2", memory: .mebi(64))
    let own = try GPUProver(
      gpu, key: GPUProver.key(of: gpu.uuid, node: key), head: head, verifier: verifier,
      machine: SharedMachine(.whole)
    ) { _ in try GPUChild(program: program, uuid: GPUProcess.processor) }
    #expect(try await own.prepare(order(own.device)) == .ready)
    for challenge in try round(own.device) {
      #expect(try await own.start(challenge) == .started)
    }
    while await own.ownersView.ends.count < 2 { try await Task.sleep(for: .milliseconds(2)) }
    let ends = await own.ownersView.ends
    #expect(ends.allSatisfy { $0.isAccepted == true }, "\(ends)")
    await own.shutDown()

    let missing = try GPUChild(program: program, uuid: "GPU-of-nobody")
    do {
      _ = try await missing.perform(.measure(memoryBytes: 1 << 20, milliseconds: 1))
      Issue.record("a GPU that is not there was measured")
    } catch let error as IorunError {
      #expect(error.code == .gpuMissing, "\(error)")
    }
    missing.end()
    do {
      _ = try await missing.perform(.measure(memoryBytes: 1 << 20, milliseconds: 1))
      Issue.record("a process that has ended answered")
    } catch {}
  }

  @Test("lines come as they like, and none is longer than allowed")
  func lines() {
    var buffer = LineBuffer(limit: 8)
    #expect(buffer.take(Data("a".utf8)) == [])
    #expect(buffer.take(Data("b\nc\nd".utf8)) == [Data("ab".utf8), Data("c".utf8)])
    #expect(buffer.take(Data("\n".utf8)) == [Data("d".utf8)])
    #expect(buffer.take(Data("123456789".utf8)) == nil)
  }
}
