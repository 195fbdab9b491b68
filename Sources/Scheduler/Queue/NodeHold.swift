internal import IorunCore

/// Keeps room for a gang that does not fit yet, so that smaller ones do not take every place that
/// becomes free before it has enough.
///
/// What is free of it is held first, then nodes on which it will find room once their leases end.
/// Whatever becomes free is looked at for the gang first, so what it holds only grows until it has
/// all: it waits no longer than the longest of the leases that ran when the hold began.
public enum NodeHold {
  /// The offers as other gangs see them while the gang waits. Without change where the gang cannot
  /// be placed on these nodes at all, and for a gang that wants one site: what is free first may lie
  /// in another.
  public static func offers(_ offers: [NodeOffer], keeping request: GangRequest) -> [NodeOffer] {
    guard request.objection == nil else { return offers }
    var limit = request.ranks
    switch request.placement {
    case .site: return offers
    case .strictSpread: limit = 1
    case .spread, .pack, .strictPack: break
    }
    struct Place {
      let index: Int
      let free: Int
      let idle: Int
    }
    let places = offers.indices.compactMap { index -> Place? in
      let offer = offers[index]
      guard request.allows(offer) else { return nil }
      let free = offer.freeRoom(gpuModel: request.gpuModel)
        .slots(for: request.resources, limit: limit)
      let idle = offer.idleRoom(gpuModel: request.gpuModel)
        .slots(for: request.resources, limit: limit)
      return idle > 0 ? Place(index: index, free: free, idle: idle) : nil
    }
    guard places.reduce(0, { $0 + $1.idle }) >= request.ranks else { return offers }
    var kept = offers
    var missing = request.ranks
    let sorted = places.sorted { left, right in
      if left.free != right.free { return left.free > right.free }
      let names = (offers[left.index].name, offers[right.index].name)
      return names.0 != names.1
        ? names.0 < names.1 : offers[left.index].node < offers[right.index].node
    }
    for place in sorted where missing > 0 && place.free > 0 {
      let ranks = min(missing, place.free)
      kept[place.index].hold(ranks, of: request)
      missing -= ranks
    }
    for place in sorted where missing > 0 && place.idle > place.free {
      // What is free there is part of a place to come.
      kept[place.index].isPlaceable = false
      missing -= place.idle - place.free
    }
    return kept
  }
}

extension NodeOffer {
  fileprivate mutating func hold(_ ranks: Int, of request: GangRequest) {
    let gpus = freeGPUIndices(matching: request.gpuModel).prefix(ranks * request.resources.gpus)
    for _ in 0..<ranks { take(request.resources, gpus: gpus) }
  }
}
