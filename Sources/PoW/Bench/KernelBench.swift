internal import CPoW
internal import Dispatch
internal import Foundation
internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// Measures every kernel on this machine, beside OpenSSL and the processor's own limit in the same
/// run. Rates are work a second of CPU time, so that a busy machine changes little; the best of
/// several short trials counts. Blocks its thread for some seconds.
public struct KernelBench: Sendable {
  /// One measurement.
  public struct Row: Hashable, Codable, Sendable {
    /// What was measured, for example `cpu.hash/sha-ni`.
    public var kernel: String
    /// On how many threads at once.
    public var threads: Int
    /// How much, in ``unit``.
    public var rate: Double
    /// What the rate counts.
    public var unit: String
    /// What it is compared with, in the same unit; `nil` where there is nothing.
    public var reference: Double?
    /// `rate / reference`.
    public var ratio: Double?
    /// What the reference is.
    public var referenceName: String?
    /// Cycles of a core for each hash, step or multiplication, by the clock measured beside it.
    public var cycles: Double?

    private enum CodingKeys: String, CodingKey {
      case kernel, threads, rate, unit, reference, ratio, cycles
      case referenceName = "reference_name"
    }
  }

  /// CPU seconds of a trial.
  public var trialSeconds: Double
  /// Trials of a measurement; the best counts.
  public var trials: Int
  /// Bytes of labels that are walked over.
  public var walkBytes: Int
  /// Rows and columns of the product.
  public var productSize: Int

  /// Chooses sizes. Nothing is measured yet.
  public init(
    trialSeconds: Double = 0.1, trials: Int = 5, walkBytes: Int = 256 << 20,
    productSize: Int = 2048
  ) {
    self.trialSeconds = max(0.001, min(10, trialSeconds))
    self.trials = max(1, min(100, trials))
    self.walkBytes = max(1 << 20, walkBytes)
    self.productSize = max(256, min(8192, productSize / 256 * 256))
  }

  /// The clock of a core in Hz, as measured.
  public static func clockHz() -> Double { iorun_pow_clock_hz() }

  /// Runs everything; `progress` gets each row as it is measured.
  public func run(threads: [Int], progress: (Row) -> Void = { _ in }) throws -> [Row] {
    try KernelSelfTest.run()
    var rows: [Row] = []
    var alone: [Kernel: Double] = [:]
    func add(_ more: [Row]) {
      rows += more
      more.forEach(progress)
    }
    for count in threads {
      add(hashRows(count, alone: &alone))
      add(laneRows(count))
      add(productRows(count))
    }
    add(try memoryRows())
    add(try proofRows())
    add(try floodRows())
    add(try latencyRows())
    return rows
  }

  // Work a CPU second, summed over threads: each counts its own time.
  func rate(
    _ threads: Int, _ body: @escaping @Sendable (_ thread: Int) -> Int
  ) -> Double {
    var best = 0.0
    for _ in 0..<trials {
      let sum = Mutex(0.0)
      let group = DispatchGroup()
      for thread in 0..<threads {
        DispatchQueue(label: "iorun.pow.bench.\(thread)").async(group: group) {
          let start = iorun_pow_thread_ns()
          var (work, spent) = (0, UInt64(0))
          repeat {
            work += body(thread)
            spent = iorun_pow_thread_ns() - start
          } while Double(spent) < trialSeconds * 1e9
          let rate = Double(work) / (Double(max(1, spent)) / 1e9)
          sum.withLock { $0 += rate }
        }
      }
      group.wait()
      best = max(best, sum.withLock { $0 })
    }
    return best
  }

  func row(
    _ kernel: String, _ threads: Int, _ rate: Double, _ unit: String,
    reference: (name: String, rate: Double)? = nil, cycles: Double? = nil
  ) -> Row {
    Row(
      kernel: kernel, threads: threads, rate: rate, unit: unit, reference: reference?.rate,
      ratio: reference.flatMap { $0.rate > 0 ? rate / $0.rate : nil },
      referenceName: reference?.name, cycles: cycles)
  }

  /// Hashes a second that the bare instructions of a kernel allow on so many threads at once, each on registers of
  /// its own.
  private func mixRate(_ threads: Int, of kernel: Kernel) -> Double {
    var best = 0.0
    for _ in 0..<trials {
      let sum = Mutex(0.0)
      let group = DispatchGroup()
      for thread in 0..<threads {
        DispatchQueue(label: "iorun.pow.limit.\(thread)").async(group: group) {
          let nanoseconds = kernel == .shaNI ? iorun_pow_mix_ns() : iorun_pow_vector_mix_ns()
          if nanoseconds > 0 { sum.withLock { $0 += 1e9 / nanoseconds } }
        }
      }
      group.wait()
      best = max(best, sum.withLock { $0 })
    }
    return best
  }

  private func hashRows(_ threads: Int, alone: inout [Kernel: Double]) -> [Row] {
    let message = [UInt8](repeating: 7, count: 80)
    let openSSL = rate(threads) { _ in
      var hasher = SHA256.Hasher()
      var digest = [UInt8](repeating: 0, count: 32)
      for _ in 0..<1000 {
        hasher.update(message)
        digest.withUnsafeMutableBytes { hasher.finalize(into: $0) }
      }
      return 1000
    }
    let hz = Self.clockHz() * Double(threads)
    var rows = [row("openssl/sha256-80-bytes", threads, openSSL, "hashes/s", cycles: hz / openSSL)]
    for kernel in Kernel.forHash {
      let block: UInt32 = kernel == .swift || kernel == .scalar ? 1 << 10 : 1 << 15
      let search = HashSearch(prefix: [UInt8](repeating: 1, count: 64))
      let rate = rate(threads) { _ in
        var found = [UInt32](repeating: 0, count: 64)
        return Int(search.run(kernel, from: 0, count: block, threshold: 0, into: &found).tried)
      }
      rows.append(
        row(
          "cpu.hash/\(kernel.rawValue)", threads, rate, "hashes/s",
          reference: ("OpenSSL EVP, context kept", openSSL), cycles: hz / rate))
      if kernel == .shaNI || kernel == .avx512 {
        let limit = mixRate(threads, of: kernel)
        // What the cores themselves gain by being several, without any of this code.
        if threads > 1 {
          rows.append(
            row(
              "limit/\(kernel.rawValue)-instructions", threads, limit, "hashes/s",
              reference: ("the same on one thread", mixRate(1, of: kernel))))
          rows.append(
            row(
              "cpu.hash/\(kernel.rawValue)", threads, rate, "hashes/s",
              reference: ("the same on one thread", alone[kernel] ?? 0)))
        } else {
          alone[kernel] = rate
        }
        rows.append(
          row(
            "cpu.hash/\(kernel.rawValue)", threads, rate, "hashes/s",
            reference: ("instruction mix", limit),
            cycles: hz / rate))
      }
    }
    return rows
  }

  private func laneRows(_ threads: Int) -> [Row] {
    let openSSL = rate(threads) { _ in
      var hasher = SHA256.Hasher()
      var state = [UInt8](repeating: 0, count: 52)
      for _ in 0..<1000 {
        hasher.update(state)
        state.withUnsafeMutableBytes { hasher.finalize(into: $0) }
      }
      return 1000
    }
    let hz = Self.clockHz() * Double(threads)
    var rows: [Row] = []
    for kernel in Kernel.forChain {
      let chain = Chain(seed: [UInt8](repeating: 1, count: 16), kernel: kernel)
      for lanes in [1, 2, 3] where lanes == 3 || (threads == 1 && kernel == .fastestChain) {
        let steps = kernel == .swift || kernel == .scalar ? 500 : 10_000
        let rate = rate(threads) { _ in
          var states = [UInt32](repeating: 1, count: 8 * lanes)
          chain.advance(
            &states, tags: (0..<UInt32(lanes)).map { $0 }, steps: UInt64(steps))
          return lanes * steps
        }
        rows.append(
          row(
            "cpu.lane/\(kernel.rawValue)/\(lanes)-lanes", threads, rate, "steps/s",
            reference: ("OpenSSL EVP, one chain", openSSL), cycles: hz / rate))
        guard kernel == .shaNI else { continue }
        // One lane waits for its own rounds; three use up what the core does of all instructions.
        let (name, bound) =
          lanes == 1
          ? ("32 rounds one after the other", Double(threads) * 1e9 / iorun_pow_rounds_ns())
          : ("instruction mix", mixRate(threads, of: kernel))
        rows.append(
          row(
            "cpu.lane/\(kernel.rawValue)/\(lanes)-lanes", threads, rate, "steps/s",
            reference: (name, bound), cycles: hz / rate))
      }
    }
    return rows
  }

  private func productRows(_ threads: Int) -> [Row] {
    let size = productSize
    let hz = Self.clockHz() * Double(threads)
    var rows: [Row] = []
    for kernel in Kernel.forProduct where kernel != .swift && (kernel != .scalar || threads == 1) {
      let matrices = Matrices(
        seed: [1, 2, 3, 4, 5, 6, 7, 8], layer: 0, size: size, kernel: kernel)
      let isSlow = kernel == .scalar
      let (rowCount, columnCount) = (isSlow ? 4 : 128, isSlow ? 64 : size)
      var made = [Int8](repeating: 0, count: columnCount * size)
      matrices.packColumns(from: 0, count: columnCount, into: &made)
      let columns = made
      let a = matrices.packedRows(from: 0, count: rowCount)
      let rate = rate(threads) { _ in
        var product = [Int32](repeating: 0, count: rowCount * columnCount)
        matrices.product(a, columns, rows: rowCount, columns: columnCount, into: &product)
        return rowCount * columnCount * size
      }
      // Multiplications a cycle that the pipes allow: two 256-bit maddubs every two cycles, or two
      // 512-bit dot products a cycle.
      let limit: Double? = kernel == .avx2 ? 32 : kernel == .vnni ? 128 : nil
      rows.append(
        row(
          "gpu.mm/\(kernel.rawValue)", threads, rate, "multiplications/s",
          reference: limit.map { ("pipe bound", $0 * hz) }, cycles: hz / rate))
    }
    return rows
  }
}
