internal import IorunCore

/// Explains a refusal: what became of each GPU or node (`GangFunnel`), and the smallest single change
/// that would help.
struct RefusalExplanation {
  let request: GangRequest
  let offers: [NodeOffer]
  let funnel: GangFunnel

  /// - Parameter near: the nodes of the largest part of the gang that is within the longest round trip
  ///   that was asked for, and that; `nil` where none was.
  init(
    request: GangRequest, offers: [NodeOffer], near: (nodes: Set<PeerID>, limit: Float)? = nil
  ) {
    self.request = request
    self.offers = offers
    funnel = GangFunnel(request, offers, near: near)
  }

  /// The refusal in words, where there is too little room.
  var refusal: PlacementRefusal {
    let usable = offers.filter(request.allows)
    let search = SmallestChange(request: request, offers: usable)
    let fitsWhenIdle = search.fits(request, whenIdle: true)
    let change = search.smallestChange(whenIdle: !fitsWhenIdle)
    return PlacementRefusal(
      finding: funnel.text, changes: change.map { [$0] } ?? [], fitsWhenIdle: fitsWhenIdle,
      funnel: funnel)
  }
}

extension ResourceKind {
  /// The key of a job spec that asks for it.
  var key: String {
    switch self {
    case .gpus: "gpus"
    case .cpus: "cpus"
    case .memory: "memory"
    case .disk: "disk"
    }
  }

  /// The bare amount, as a spec would write it. Sizes are rounded down, so that one that fits still
  /// fits as written.
  func amount(_ value: UInt64) -> String {
    switch self {
    case .gpus: "\(value)"
    case .cpus: value % 1000 == 0 ? "\(value / 1000)" : "\(Double(value) / 1000)"
    case .memory, .disk: "\(Bytes(value))"
    }
  }

  /// The amount with its noun, for example `64 GiB memory`.
  func words(for value: UInt64) -> String {
    switch self {
    case .gpus: "\(amount(value)) GPU\(value == 1 ? "" : "s")"
    case .cpus: "\(amount(value)) CPU\(value == 1000 ? "" : "s")"
    case .memory: "\(amount(value)) memory"
    case .disk: "\(amount(value)) disk"
    }
  }
}
