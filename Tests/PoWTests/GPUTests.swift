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

  @Test("all free memory is overwritten, and given back")
  func scrubbed() throws {
    let room = UInt64(200 << 20) + 12_345
    let device = try device(free: room)
    let before = try device.allocate(1 << 20)
    try device.upload([UInt32](repeating: 0xdead_beef, count: 1 << 18), to: before)
    let held = fake_gpu_allocations()
    let left = try device.freeBytes()
    let cleared = try GPUScrub.run(device)
    #expect(cleared.rawValue <= left && cleared.rawValue > left - UInt64(64 << 10))
    #expect(fake_gpu_allocations() == held)
    // What somebody holds is left alone.
    #expect(try device.download(before, byteCount: 4) == [0xef, 0xbe, 0xad, 0xde])
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

  @Test(
    "a GPU is measured, filled, and asked for both halves of a round at once; all is given back")
  func both() async throws {
    do {
      let (world, solver) = (try PoWWorld(), try GPUSolver(on: device()))
      let rates = try await solver.measure(memory: 1 << 20, seconds: 0.01)
      #expect(rates.groups == 8 && rates.label > 0 && rates.walk > 0 && rates.product > 0)
      let walk = try world.challenge(PoWWorld.puzzle(.gpuMemory), round: 1)
      let product = try world.challenge(PoWWorld.puzzle(.product), round: 1)
      #expect(await code { _ = try await solver.solve(walk) } == .malformed)
      guard case .gpuMemory(let puzzle) = walk.puzzle else { return }
      let order = try TableOrder(
        device: walk.device, epoch: walk.epoch, beacon: walk.beacon, labels: puzzle.labels,
        labelSteps: puzzle.labelSteps, isOnGPU: true)
      #expect(order.seed == walk.tableSeed)
      try await solver.fill(order)
      async let walked = solver.solve(walk)
      async let multiplied = solver.solve(product)
      for (challenge, roots) in try await [(walk, walked), (product, multiplied)] {
        let commitment = try Commitment(challenge, roots: roots, signedBy: .device(world.key))
        let request = try world.verifier.request(
          for: commitment, from: .anybody, epoch: challenge.epoch,
          nowMilliseconds: PoWWorld.opens + 500)
        let proof = try Proof(
          challenge, try await solver.open(request), signedBy: .device(world.key))
        #expect(try world.verdict(proof).refusal == nil)
        #expect(await code { _ = try await solver.open(request) } == .notFound)
      }
    }
    #expect(fake_gpu_allocations() == 0)
  }

  @Test("a GPU's round fits in its memory, and both halves take the round's time")
  func plans() throws {
    // A small card, a large one, and the tests' own.
    for (memory, label, walk, product) in [
      (8 << 30, 2e9, 5e8, 4e13), (141 << 30, 1.5e10, 6e9, 5e14), (64 << 20, 2e6, 983_040, 4.2e8),
    ] {
      let seconds = memory > 1 << 30 ? 5 : 0.05
      let plan = try #require(
        GPUPlan(
          memory: memory, groups: memory > 1 << 30 ? 264 : 1, labelRate: label, walkRate: walk,
          productRate: product, fillSeconds: 60, seconds: seconds))
      let size = plan.product.size
      let tiles = plan.product.tileCount * plan.product.layers
      let taken = plan.memory.tableByteCount + 2 * size * size + 43 * tiles
      #expect(Double(taken) <= 0.95 * Double(memory))
      #expect(plan.product.layers >= 4)
      #expect(Double(plan.product.multiplications) <= 1.2 * product * seconds)
      let steps = try plan.memory.puzzle().steps
      #expect((0.5...1.01).contains(Double(steps) / walk / seconds))
      // A tenth of the labels made anew takes all the time that is allowed.
      let missing = 0.1 * Double(plan.memory.labelSteps) / label
      #expect(missing >= 0.99 / plan.memory.expectedRate || plan.memory.labelSteps == 256)
    }
    #expect(
      GPUPlan(
        memory: 1 << 30, groups: 1, labelRate: 1, walkRate: 1, productRate: .nan, fillSeconds: 1,
        seconds: 1) == nil)
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
