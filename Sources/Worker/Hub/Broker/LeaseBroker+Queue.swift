import IorunCore
import IorunWire

/// Whose turn it is, and what is asked back for those who wait.
extension LeaseBroker {
  /// Requests of one kind of resource in one place.
  struct Contested: Hashable {
    var group: GroupID?
    var name: String
  }

  /// Meets every waiting request that has room and may have it.
  mutating func serve(_ now: ContinuousClock.Instant) -> [Action] {
    guard !queue.isEmpty else {
      recallPause = settings.recallPause
      return []
    }
    var actions: [Action] = []
    var isFruitful = true
    while isFruitful, !queue.isEmpty {
      isFruitful = false
      var contested: Set<Contested> = []
      for (shape, request) in queue.heads {
        let demand = RuntimeDemand(resources: shape.resources, bundle: shape.bundle)
        guard Self.isFree(demand, of: contested), let source = source(for: demand),
          let action = grant(request, shape.resources, from: source)
        else {
          if now - request.since >= settings.patience { contested.formUnion(Self.names(demand)) }
          continue
        }
        _ = queue.takeFirst(shape)
        actions.append(action)
        isFruitful = true
      }
    }
    return queue.isEmpty ? actions : actions + recallIfDue(now)
  }

  /// True where a new request would take nothing from one of its own kind, or from one that has waited
  /// too long.
  func mayPass(_ demand: RuntimeDemand, _ now: ContinuousClock.Instant) -> Bool {
    guard !queue.isEmpty else { return true }
    guard !queue.knows(RequestShape(demand)) else { return false }
    var contested: Set<Contested> = []
    for (shape, request) in queue.heads where now - request.since >= settings.patience {
      contested.formUnion(
        Self.names(RuntimeDemand(resources: shape.resources, bundle: shape.bundle)))
    }
    return Self.isFree(demand, of: contested)
  }

  private static func names(_ demand: RuntimeDemand) -> [Contested] {
    demand.resources.units.keys.map { Contested(group: demand.bundle?.group, name: $0) }
  }

  private static func isFree(_ demand: RuntimeDemand, of contested: Set<Contested>) -> Bool {
    contested.isEmpty || names(demand).allSatisfy { !contested.contains($0) }
  }

  // MARK: Recall

  /// When `tick` is to be called; `nil` for never.
  var nextTick: ContinuousClock.Instant? {
    queue.isEmpty ? nil : lastRecall.map { $0 + recallPause }
  }

  /// Time has passed.
  mutating func tick(_ now: ContinuousClock.Instant) -> [Action] { serve(now) }

  private mutating func recallIfDue(_ now: ContinuousClock.Instant) -> [Action] {
    guard !holders.isEmpty else { return [] }
    if let lastRecall {
      guard now >= lastRecall + recallPause else { return [] }
      recallPause = min(recallPause * 2, settings.slowestRecall)
    }
    lastRecall = now
    let sole = queue.sole
    return holders.values.map { .recall($0.address, sole: sole) }
  }
}
