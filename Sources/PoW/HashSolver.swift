internal import Dispatch
public import IorunCore
internal import IorunCrypto
internal import Synchronization

/// Seeks the nonce of a ``HashChallenge`` with several threads, by Dispatch. Can be told to stop
/// from any thread, which it does within one block of nonces (about a millisecond).
public final class HashSolver: Sendable {
  /// How many nonces a thread tries before it looks whether it should stop.
  static let blockSize: UInt64 = 4096

  private let challenge: HashChallenge
  private let threads: Int
  private let isCancelled = Atomic(false)

  /// Makes a solver for one challenge.
  ///
  /// - Parameters:
  ///   - challenge: what to solve.
  ///   - threads: how many cores to take, at least one.
  public init(_ challenge: HashChallenge, threads: Int) {
    self.challenge = challenge
    self.threads = max(1, min(threads, 1024))
  }

  /// Makes ``solve(from:)`` throw `cancelled` soon. Once cancelled, a solver stays so.
  public func cancel() { isCancelled.store(true, ordering: .relaxed) }

  /// Seeks on Dispatch's threads and waits for them; cancelling the task cancels the search.
  /// Throws `cancelled`.
  public func solution(from start: UInt64 = 0) async throws -> HashSolution {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation {
        (continuation: CheckedContinuation<HashSolution, any Error>) in
        // A serial queue of its own has a thread of its own, so that the pool is not held up.
        DispatchQueue(label: "iorun.pow").async { [self] in
          continuation.resume(with: Result { try solve(from: start) })
        }
      }
    } onCancel: {
      cancel()
    }
  }

  /// Seeks, on this thread and others, until a nonce is found. Blocks for as long as that takes:
  /// 2^difficulty hashes on average. Throws `cancelled` after ``cancel()``.
  ///
  /// - Parameter start: the first nonce to try; a random one makes repeated searches independent.
  public func solve(from start: UInt64 = 0) throws -> HashSolution {
    let began = ContinuousClock.now
    let nextBlock = Atomic<UInt64>(0)
    let hashes = Atomic<UInt64>(0)
    let isDone = Atomic(false)
    let found = Mutex<UInt64?>(nil)
    let prefix = challenge.prefix
    let difficulty = challenge.difficulty

    DispatchQueue.concurrentPerform(iterations: threads) { _ in
      var search = BlockSearch(prefix: prefix, difficulty: difficulty)
      while !isDone.load(ordering: .relaxed), !isCancelled.load(ordering: .relaxed) {
        let block = nextBlock.wrappingAdd(1, ordering: .relaxed).oldValue
        let (nonce, tried) = search.run(
          from: start &+ block &* Self.blockSize, count: Self.blockSize)
        hashes.wrappingAdd(tried, ordering: .relaxed)
        if let nonce {
          found.withLock { $0 = $0 ?? nonce }
          isDone.store(true, ordering: .relaxed)
        }
      }
    }
    guard let nonce = found.withLock({ $0 }) else {
      throw IorunError(.cancelled, "the search for a proof was stopped")
    }
    let elapsed = (ContinuousClock.now - began).components
    return HashSolution(
      nonce: nonce, hashes: hashes.load(ordering: .relaxed),
      seconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18)
  }
}

/// The inner loop of one thread: no allocation, no lock.
private struct BlockSearch: ~Copyable {
  private var hasher = SHA256.Hasher()
  private var message: [UInt8]
  private var output = [UInt8](repeating: 0, count: Digest.byteCount)
  private let nonceOffset: Int
  private let difficulty: HashDifficulty

  init(prefix: [UInt8], difficulty: HashDifficulty) {
    message = prefix + [UInt8](repeating: 0, count: 8)
    nonceOffset = prefix.count
    self.difficulty = difficulty
  }

  mutating func run(from first: UInt64, count: UInt64) -> (nonce: UInt64?, tried: UInt64) {
    for step in 0..<count {
      let nonce = first &+ step
      message.withUnsafeMutableBytes {
        $0.storeBytes(of: nonce.bigEndian, toByteOffset: nonceOffset, as: UInt64.self)
      }
      hasher.update(message)
      let head = output.withUnsafeMutableBytes { buffer in
        hasher.finalize(into: buffer)
        return UInt64(bigEndian: buffer.loadUnaligned(as: UInt64.self))
      }
      if difficulty.isMet(by: head) { return (nonce, step + 1) }
    }
    return (nil, count)
  }
}
