/// Runs work that blocks (files, waits for processes, SQLite) on threads of its own, so that Swift's
/// cooperative pool, which has only as many threads as there are cores, never stands still.
///
///     let digest = try await Blocking.run { try chunkStore.put(bytes) }
///
/// At most ``width`` pieces of work run at once and the rest waits its turn in order. Work must not
/// wait for other work of the same pool: enough of that would stop it for good.
public enum Blocking {
  /// How many pieces of work run at once: enough to keep a disk busy, few enough to stay cheap.
  public static let width = 8

  private static let pool = BlockingPool(width: width)

  /// Runs `work` on a thread of the pool and returns what it returns. Cancelling the task does not
  /// stop work that has begun; work that has not begun throws `CancellationError`.
  public static func run<Result: Sendable>(
    _ work: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try await pool.run(work)
  }
}
