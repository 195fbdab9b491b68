/// Work that is due later. Few at a time, so a sorted list is the fastest heap.
struct HubTimers {
  private var items: [(due: ContinuousClock.Instant, work: HubMailbox.Work)] = []

  /// Adds work.
  mutating func add(_ due: ContinuousClock.Instant, _ work: @escaping HubMailbox.Work) {
    var index = items.count
    while index > 0, items[index - 1].due < due { index -= 1 }
    items.insert((due, work), at: index)
  }

  /// How long a poll may sleep; -1 for as long as it likes.
  func milliseconds(until now: ContinuousClock.Instant) -> Int32 {
    guard let next = items.last?.due else { return -1 }
    let wait = (next - now) / .milliseconds(1)
    return wait <= 0 ? 0 : Int32(min(60_000, wait.rounded(.up)))
  }

  /// Everything that is due, in order.
  mutating func takeDue(_ now: ContinuousClock.Instant) -> [HubMailbox.Work] {
    var due: [HubMailbox.Work] = []
    while let last = items.last, last.due <= now {
      due.append(last.work)
      items.removeLast()
    }
    return due
  }
}
