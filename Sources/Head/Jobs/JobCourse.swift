internal import IorunContract
internal import IorunCore

/// What repairs and preemptions made of a job: kept with it, so that a restarted head goes on.
struct JobCourse: Sendable, Hashable, Codable {
  /// A place that is held for the job: not leased to it now.
  struct Seat: Sendable, Hashable, Codable {
    /// The rank that it is for; `nil` for a spare.
    var rank: Int?
    var node: PeerID
    var gpuIndices: [Int]
  }

  /// How many ranks it has; `nil` for as many as the spec says.
  var ranks: Int?
  /// Places of the ranks that are left of a gang that is being mended, and spares.
  var seats: [Seat] = []
  /// Attempts that ended because a node was lost and the gang was mended: they use up no retry.
  var repairs = 0
  /// Attempts that were stopped for more urgent jobs: they use up no retry.
  var preemptions = 0
  /// Nodes whose ranks were lost in the attempt before, for replacements of the same site.
  var lostNodes: [PeerID] = []
  /// True where it runs on what belongs to others of its cohort, or to nobody.
  var isBorrowing = false
  /// Why it was stopped for a more urgent job, until it is placed again.
  var stopReason: String?
  /// Why the latest attempt's ranks are where they are.
  var choice: PlacementChoice?
  /// When the latest attempt was placed, in seconds since 1970.
  var placedAt: Double?
}

extension JobCourse {
  private enum CodingKeys: String, CodingKey {
    case ranks, seats, repairs, preemptions, lostNodes, isBorrowing, stopReason, choice,
      placedAt
  }

  /// Keys that an earlier version did not write have their usual values.
  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    ranks = try values.decodeIfPresent(Int.self, forKey: .ranks)
    seats = try values.decodeIfPresent([Seat].self, forKey: .seats) ?? []
    repairs = try values.decodeIfPresent(Int.self, forKey: .repairs) ?? 0
    preemptions = try values.decodeIfPresent(Int.self, forKey: .preemptions) ?? 0
    lostNodes = try values.decodeIfPresent([PeerID].self, forKey: .lostNodes) ?? []
    isBorrowing = try values.decodeIfPresent(Bool.self, forKey: .isBorrowing) ?? false
    stopReason = try values.decodeIfPresent(String.self, forKey: .stopReason)
    choice = try values.decodeIfPresent(PlacementChoice.self, forKey: .choice)
    placedAt = try values.decodeIfPresent(Double.self, forKey: .placedAt)
  }
}
