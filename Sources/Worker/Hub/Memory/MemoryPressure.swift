import IorunCore

/// Which workers end when a machine runs out of memory: before the kernel picks one, which might be the
/// agent. A pure value.
///
/// First go those who do nothing but keep memory, then those whose work is done again anyway, and of
/// these the newest first, for it has the least to lose; so many that what is in use is below the
/// threshold again. Who has hardly any memory stays: to end it would help nobody.
struct MemoryPressure: Sendable {
  /// A worker that could end.
  struct Candidate: Hashable, Sendable {
    var worker: WorkerID
    /// Bytes of its own.
    var bytes: Int64
    /// Grows with each lease and each actor: the greatest is the newest. `nil` where it is idle.
    var order: UInt64?
    /// Its work is done again where it ends.
    var isRetriable: Bool

    /// Greater for who goes earlier.
    fileprivate var rank: (Int, Int, UInt64) {
      (order == nil ? 1 : 0, isRetriable ? 1 : 0, order ?? 0)
    }
  }

  /// How it behaves.
  struct Settings: Sendable {
    /// The share of the memory in use at which workers end.
    var limit = RuntimeOffer.defaultMemoryThreshold
    /// Bytes that are enough to be free, whatever the share; below zero: only the share counts.
    var enoughFree: Int64 = -1
    /// How often the memory is looked at; zero: never.
    var period: Duration = .milliseconds(250)
    /// The least bytes of a worker whose end would help.
    var leastBytes: Int64 = 64 << 20
    /// The least bytes of one that is idle: it may own what others need, and who owns is not seen here.
    var leastIdleBytes: Int64 = 1 << 30
    /// How long the memory of those that were ended is waited for at most.
    var pause: Duration = .seconds(2)

    /// The bytes in use at which workers end, of a machine with `total`.
    func threshold(_ total: Int64) -> Int64 {
      let share = Int64(Double(total) * limit)
      return enoughFree < 0 ? share : max(share, total - enoughFree)
    }
  }

  let settings: Settings
  private var lastEnd: ContinuousClock.Instant?

  /// Nobody was ended yet.
  init(settings: Settings = Settings()) { self.settings = settings }

  /// True where a look at the workers is worth its while.
  func isHigh(_ reading: MemoryReading) -> Bool {
    reading.total > 0 && reading.used >= settings.threshold(reading.total)
  }

  /// Who is to end now, in order. `areGone`: those of the last time have left their memory.
  mutating func victims(
    _ reading: MemoryReading, _ candidates: [Candidate], areGone: Bool = true,
    now: ContinuousClock.Instant
  ) -> [Candidate] {
    guard isHigh(reading) else { return [] }
    if let lastEnd, !areGone, now - lastEnd < settings.pause { return [] }
    var left = reading.used - settings.threshold(reading.total)
    var victims: [Candidate] = []
    for candidate in candidates.sorted(by: { $0.rank > $1.rank }) where left >= 0 {
      let least = candidate.order == nil ? settings.leastIdleBytes : settings.leastBytes
      guard candidate.bytes >= least else { continue }
      victims.append(candidate)
      left -= candidate.bytes
    }
    if !victims.isEmpty { lastEnd = now }
    return victims
  }
}

extension MemoryPressure.Settings {
  /// As an operator wants it.
  init(_ watch: RuntimeOffer.MemoryWatch) {
    self.init()
    if let threshold = watch.threshold { limit = threshold }
    if let free = watch.enoughFree { enoughFree = free }
    if let milliseconds = watch.milliseconds { period = .milliseconds(milliseconds) }
  }
}
