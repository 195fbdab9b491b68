internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// A gang that waits for fresh round trips.
struct ProbeWait: Sendable {
  /// The pairs that are worth measuring, by what is known now.
  var pairs: Set<ProbePair> = []
  /// Those of them that were.
  var fresh: Set<ProbePair> = []
  /// Until when it waits, by the head's clock.
  let until: Duration
}

/// Gangs that want to be near themselves are chosen on fresh measurements: where sites of the choice, or
/// of spares beside it, were not measured to each other lately, their nodes are asked to, and the choice is
/// made again when they have (`GroupRefinement`). A gang of one site needs none of this.
extension JobDirector {
  /// True where a gang waits for measurements that are still under way: it is not looked at meanwhile.
  func isMeasured(_ id: JobID) -> Bool {
    guard let wait = probeWaits[id] else { return false }
    return !wait.pairs.isSubset(of: wait.fresh) && clock.elapsed() < wait.until
  }

  /// True where a gang that would be placed now waits for measurements first.
  func waitsForProbes(
    _ id: JobID, _ record: JobRecord, _ placement: GangPlacement, _ round: inout PlacementRound
  ) -> Bool {
    let pairs = round.pairsWorthMeasuring(record, placement)
    let now = clock.elapsed()
    guard !pairs.isEmpty else {
      probeWaits[id] = nil
      return false
    }
    var wait = probeWaits[id] ?? ProbeWait(until: now + options.refineWithin)
    wait.pairs = pairs
    guard !pairs.isSubset(of: wait.fresh), now < wait.until else {
      probeWaits[id] = nil
      return false
    }
    probeWaits[id] = wait
    live[id]?.waitsForJobs = nil
    note(
      "waits for fresh round trips between the nodes that suit it best, for at most "
        + "\(Int(options.refineWithin.inSeconds)) s", on: id)
    return true
  }

  /// Orders the measurements that gangs wait for. Where some gang has all of its own, the queue is to be
  /// looked at again.
  func orderProbes() async {
    probeWaits = probeWaits.filter { live[$0.key]?.isQueued == true }
    for (id, wait) in probeWaits {
      let fresh = await map.freshen(wait.pairs, until: wait.until)
      probeWaits[id]?.fresh = fresh
      if wait.pairs.isSubset(of: fresh) { placesAgain = true }
    }
  }
}

extension PlacementRound {
  /// The most pairs that are measured for one gang.
  private static let mostPairs = 512

  /// The pairs of nodes whose round trips decide where a gang is placed: between the sites it would take,
  /// and between these and spares. None for a gang of one site, and for one that asks for no nearness.
  mutating func pairsWorthMeasuring(
    _ record: JobRecord, _ placement: GangPlacement
  ) -> Set<ProbePair> {
    let strategy = record.spec.gang.strategy(placement.fallback)
    guard strategy.isSite else { return [] }
    let used = Set(placement.members.compactMap { sites.siteOf[$0.node] }).sorted()
    guard used.count > 1 else { return [] }
    var request = request(record, excluding: record.lostNodes)
    request.placement = strategy
    guard let (refinement, nodes) = placer.refinement(of: request, on: offers) else { return [] }
    var pairs = refinement.pairs
    // Limits of suppliers and regions may want other sites than the shortest round trip.
    for (index, one) in used.enumerated() { pairs += used[..<index].map { (one, $0) } }
    let isUsed = Set(used)
    let sorted = pairs.sorted { left, right in
      let (first, second) = (rank(left, isUsed), rank(right, isUsed))
      return first == second ? (left.left, left.right) < (right.left, right.right) : first < second
    }
    var chosen: Set<ProbePair> = []
    for pair in sorted where chosen.count < Self.mostPairs {
      guard let one = nodes[pair.left]?.first, let other = nodes[pair.right]?.first else {
        continue
      }
      chosen.insert(ProbePair(one, other))
    }
    return chosen
  }

  /// Pairs within the choice come first.
  private func rank(_ pair: (left: Int, right: Int), _ used: Set<Int>) -> Int {
    (used.contains(pair.left) ? 0 : 1) + (used.contains(pair.right) ? 0 : 1)
  }
}
