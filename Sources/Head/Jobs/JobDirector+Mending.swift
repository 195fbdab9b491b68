internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// Gangs that lost a node and are mended as their specs say (`on_loss`): who is left keeps its node,
/// lost ranks get a spare, then a place of the same site, then the nearest. These go before the queue:
/// their places are held for them.
extension JobDirector {
  func mendGangs(_ round: inout PlacementRound) {
    for id in order {
      guard let job = live[id], job.isQueued, job.lifecycle.record.course.repairs > 0,
        !job.lifecycle.record.course.lostNodes.isEmpty
      else { continue }
      let record = job.lifecycle.record
      guard !waitsForLostNodes(id, record, round) else { continue }
      let mended = round.mend(record)
      round.release(record.course.seats, of: record.spec.gang.resources)
      if let mended {
        let used = Set(mended.members.map(\.node))
        let spares = record.course.seats.filter { $0.rank == nil && !used.contains($0.node) }
        round.take(spares, of: record.spec.gang.resources)
        let placement = GangPlacement(
          members: mended.members, fallback: record.course.choice?.fallback ?? 0)
        start(
          id, record, placement, &round, spares: spares, mended: mended.words,
          isBorrowing: record.course.isBorrowing)
        live[id]?.events.append(
          JobEvent(kind: .placed, detail: mended.words, time: clock.now()))
        continue
      }
      // Nothing near is free: it moves as a whole, at once where its spec says so, else in its turn.
      if record.spec.gang.terms?.onLoss == .migrate,
        case .placed(let placement) = round.search(record)
      {
        let words = "moved: nothing near the nodes that were left was free"
        start(id, record, placement, &round, mended: words, isBorrowing: record.course.isBorrowing)
        live[id]?.events.append(JobEvent(kind: .placed, detail: words, time: clock.now()))
        continue
      }
      if live[id]?.lifecycle.releaseSeats() == true {
        recount(id)
        markDirty(id)
      }
    }
  }
}

/// What became of a gang that lost nodes: the places of all ranks, and that in words.
struct MendedGang {
  let members: [GangPlacement.Member]
  let words: String

  init(_ outcome: GangMending.Outcome, _ record: JobRecord, nodes: [PeerID: NodeSnapshot]) {
    switch outcome {
    case .mended(let members, let joined, let reached):
      self.members = members
      let names = joined.compactMap { nodes[$0.node]?.facts.name }.joined(separator: ", ")
      let farther =
        reached.map {
          "; degraded: \(RoundTripWords.text($0)) apart now, more than the "
            + "\(RoundTripWords.text(record.longestRoundTrip)) that were asked for"
        } ?? ""
      words = "mended: \(joined.count) of \(record.ranks) ranks on \(names)\(farther)"
    case .shrunk(let left):
      members = left
      words = "shrunk: it goes on with \(left.count) of \(record.ranks) ranks"
    }
  }
}

extension JobRecord {
  /// No round trip of the gang may be longer, in milliseconds; none is too long where it asks for no site.
  var longestRoundTrip: Float {
    // A gang that was placed by a fallback keeps to that.
    if case .site(let most?) = spec.gang.strategy(course.choice?.fallback ?? 0) {
      return Float(most)
    }
    return .infinity
  }
}
