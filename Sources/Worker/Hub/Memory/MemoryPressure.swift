import IorunCore

/// Which worker ends when a machine runs out of memory: before the kernel picks one, which might be the
/// agent. A pure value.
///
/// The newest goes first, for it has the least to lose, and of these first those whose work is done again
/// anyway. Who has hardly any memory stays: to end it would help nobody.
struct MemoryPressure: Sendable {
  /// A worker that could end.
  struct Candidate: Hashable, Sendable {
    var worker: WorkerID
    /// Bytes of its own.
    var bytes: Int64
    /// Grows with each lease and each actor: the greatest is the newest.
    var order: UInt64
    /// Its work is done again where it ends.
    var isRetriable: Bool
  }

  /// How it behaves.
  struct Settings: Sendable {
    /// The share of the memory in use at which a worker ends.
    var limit = 0.95
    /// The least bytes of a worker whose end would help.
    var leastBytes: Int64 = 64 << 20
    /// How long the memory of one that was ended is waited for.
    var pause: Duration = .seconds(2)
  }

  let settings: Settings
  private var lastEnd: ContinuousClock.Instant?

  /// Nobody was ended yet.
  init(settings: Settings = Settings()) { self.settings = settings }

  /// True where a look at the workers is worth its while.
  func isHigh(_ reading: MemoryReading) -> Bool { reading.share >= settings.limit }

  /// Who is to end now; `nil` for nobody.
  mutating func victim(
    _ reading: MemoryReading, _ candidates: [Candidate], now: ContinuousClock.Instant
  ) -> Candidate? {
    guard isHigh(reading) else { return nil }
    if let lastEnd, now - lastEnd < settings.pause { return nil }
    let victim = candidates.filter { $0.bytes >= settings.leastBytes }
      .max { ($0.isRetriable ? 1 : 0, $0.order) < ($1.isRetriable ? 1 : 0, $1.order) }
    if victim != nil { lastEnd = now }
    return victim
  }
}
