import CFakeCUDA
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

/// The way through a GPU, on a driver that computes on the CPU with the kernels' own source. What a
/// real GPU does is for `iorun pow device --self-test`.
@Suite("GPU", .serialized)
struct GPUTests {
  private func device(
    free: UInt64 = 1 << 30, processes: UInt32 = 0, compute: Int32 = 90, fault: Int32 = 0
  ) throws -> GPUDevice {
    fake_gpu_set(free, processes, compute, 0)
    let device = try GPUDevice(
      index: 0, resolver: { fake_cuda_function($0) }, nvml: { fake_nvml_function($0) })
    fake_gpu_set(free, processes, compute, fault)
    return device
  }

  private func code(_ body: () async throws -> Void) async -> IorunError.Code? {
    do {
      try await body()
      return nil
    } catch {
      return (error as? IorunError)?.code
    }
  }

  @Test("without a driver, with an old one and on an old GPU there is a typed error")
  func missing() async throws {
    #expect(await code { _ = try GPUDevice.all(resolver: { _ in nil }) } == .gpuMissing)
    #expect(
      await code { _ = try GPUDevice.all(resolver: { fake_old_cuda_function($0) }) } == .gpuMissing)
    #expect(
      await code {
        _ = try GPUDevice(index: 1, resolver: { fake_cuda_function($0) }, nvml: { _ in nil })
      } == .gpuMissing)
    #expect(await code { _ = try device(compute: 60) } == .gpuMissing)
    // Here there is one or there is none; both are said in a typed way.
    let found = await code { _ = try GPUDevice.all() }
    #expect(found == nil || found == .gpuMissing)
  }

  @Test("a GPU is described as NVML and nvidia-smi name it")
  func described() throws {
    let about = try device().description
    #expect(about.name == "Fake GPU" && about.compute == "9.0" && about.multiprocessors == 4)
    #expect(about.uuid == "GPU-00112233-4455-6677-8899-aabbccddeeff")
    let condition = try GPUCondition(of: about.uuid, resolver: { fake_nvml_function($0) })
    #expect(condition.clockMegahertz == 1980 && condition.throttleReasons == 4)
    #expect(!condition.isPartitioned && condition.processes == 0)
  }

  @Test("another process on the GPU, too little memory and a fault are typed errors")
  func faults() async throws {
    #expect(await code { _ = try device(processes: 2) } == .gpuBusy)
    let world = try PoWWorld()
    let product = try world.challenge(.product(ProductPuzzle(size: 512)))
    let small = try device(free: 100_000)
    #expect(await code { _ = try Solver(product, threads: 1, gpu: small) } == .noMemoryForProof)
    let broken = try device(fault: 700)
    let solver = try Solver(product, threads: 2, gpu: broken)
    #expect(await code { _ = try await solver.solve() } == .gpuFault)
    let taken = try device(fault: 46)
    let other = try Solver(product, threads: 2, gpu: taken)
    #expect(await code { _ = try await other.solve() } == .gpuBusy)
  }

  @Test("every kernel gives the CPU's bits", arguments: [Int32(61), 75, 90])
  func selfTest(compute: Int32) async throws {
    do {
      let gpu = try device(compute: compute)
      let checks = try await GPUSelfTest.run(
        gpu, sizes: compute == 61 ? [128, 384] : [128], labels: [1500, 2048])
      for check in checks { #expect(check.isSame, "\(check.name)") }
      #expect(checks.contains { $0.name.contains("tensor") } == (compute >= 80))
      #expect(checks.contains { $0.name.contains("dp4a") })
    }
    // All of its memory was given back.
    #expect(fake_gpu_allocations() == 0)
  }

  @Test("the verifier accepts what a GPU proves, and a table serves the next round")
  func proofs() async throws {
    let (world, gpu) = (try PoWWorld(), try device())
    var table: GPULabelTable?
    for (round, kind) in [PuzzleKind.product, .gpuMemory, .gpuMemory].enumerated() {
      let challenge = try world.challenge(PoWWorld.puzzle(kind), round: round)
      let solver = try Solver(challenge, threads: 2, gpu: gpu, gpuTable: table)
      guard case .committed(let work) = try await solver.solve() else {
        Issue.record("no commitment")
        return
      }
      #expect(solver.progress.done == solver.progress.total)
      table = work.gpuTable
      let commitment = try Commitment(challenge, roots: work.roots, signedBy: .device(world.key))
      let request = try world.verifier.request(
        for: commitment, from: .anybody, epoch: challenge.epoch,
        nowMilliseconds: PoWWorld.opens + 500)
      let proof = try Proof(
        challenge, work.answer(to: request), signedBy: .device(world.key))
      #expect(try world.verdict(proof).refusal == nil)
      // The second walk goes over the labels of the first.
      if round == 2 {
        #expect(solver.progress.total == 2 * 48 * 5 * 4)
      }
    }
  }

  @Test("a solver on a GPU stops when it is cancelled")
  func cancelled() async throws {
    let world = try PoWWorld()
    let puzzle = try MemoryPuzzle(labels: 4096, labelSteps: 1, cores: 1, segments: 60_000)
    let solver = try Solver(world.challenge(.gpuMemory(puzzle)), threads: 1, gpu: device())
    let work = Task { try await solver.solve() }
    while solver.progress.done == 0 { try await Task.sleep(for: .milliseconds(1)) }
    work.cancel()
    let result = await work.result
    #expect(throws: IorunError.self) { try result.get() }
  }
}
