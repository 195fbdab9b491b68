internal import IorunCore

/// Explains a refusal as a funnel: each node seen is counted once, at the first thing it lacks, and
/// the end names the smallest single change that would help.
struct RefusalExplanation {
  let request: GangRequest
  let offers: [NodeOffer]

  /// What became of one node on its way through the funnel.
  private enum Finding: Hashable {
    case notAlive, excluded, barred(String), tooSmall(ResourceKind), busy, room
  }

  /// The refusal in words.
  var refusal: PlacementRefusal {
    let usable = offers.filter(request.allows)
    let search = SmallestChange(request: request, offers: usable)
    let fitsWhenIdle = search.fits(request, whenIdle: true)
    let change = search.smallestChange(whenIdle: !fitsWhenIdle)
    return PlacementRefusal(
      finding: funnel, changes: change.map { [$0] } ?? [], fitsWhenIdle: fitsWhenIdle)
  }

  /// For example `3 nodes seen: 1 not alive, 2 have less than 64 GiB memory (most: b with 24 GiB)`.
  var funnel: String {
    if offers.isEmpty { return "no nodes seen" }
    let groups = Dictionary(grouping: offers, by: finding)
    let order =
      [.notAlive, .excluded] + Set(request.barred.values).sorted().map(Finding.barred)
      + ResourceKind.allCases.map(Finding.tooSmall) + [.busy, .room]
    let parts = order.compactMap { finding in
      groups[finding].map { words(for: finding, nodes: $0) }
    }
    return "\(count(offers.count, "node")) seen: \(parts.joined(separator: ", "))"
  }

  private func finding(_ offer: NodeOffer) -> Finding {
    if !offer.isPlaceable { return .notAlive }
    if request.excluding.contains(offer.node) { return .excluded }
    if let term = request.barred[offer.node] { return .barred(term) }
    let idle = offer.idleRoom(gpuModel: request.gpuModel)
    if let lacking = ResourceKind.allCases.first(where: { idle[$0] < request.resources[$0] }) {
      return .tooSmall(lacking)
    }
    let free = offer.freeRoom(gpuModel: request.gpuModel)
    return free.slots(for: request.resources, limit: 1) == 0 ? .busy : .room
  }

  private func words(for finding: Finding, nodes: [NodeOffer]) -> String {
    let verb = nodes.count == 1 ? "has" : "have"
    switch finding {
    case .notAlive: return "\(nodes.count) not alive"
    case .excluded: return "\(nodes.count) excluded for this job"
    case .barred(let term): return "\(nodes.count) \(term)"
    case .busy: return "\(nodes.count) busy with other jobs"
    case .room:
      let slots = nodes.reduce(0) { sum, node in
        let room = node.freeRoom(gpuModel: request.gpuModel)
        return sum + room.slots(for: request.resources, limit: request.ranks)
      }
      return "\(nodes.count) \(verb) room for \(slots) of the \(count(request.ranks, "rank"))"
    case .tooSmall(let kind):
      let wanted = request.resources[kind]
      let largest = nodes.min { left, right in
        let amounts = (idle(left)[kind], idle(right)[kind])
        return amounts.0 == amounts.1 ? left.name < right.name : amounts.0 > amounts.1
      }
      let most = largest.map { idle($0)[kind] } ?? 0
      if kind == .gpus, most == 0 { return "\(nodes.count) \(verb) no GPU\(likeModel)" }
      let comparison = kind == .gpus || kind == .cpus ? "fewer" : "less"
      let name = largest?.name ?? ""
      return "\(nodes.count) \(verb) \(comparison) than \(kind.words(for: wanted))"
        + "\(kind == .gpus ? likeModel : "") (most: \(name) with \(kind.amount(most)))"
    }
  }

  private func idle(_ offer: NodeOffer) -> ResourceSet {
    offer.idleRoom(gpuModel: request.gpuModel)
  }

  private var likeModel: String {
    guard let model = request.gpuModel, !model.isEmpty else { return "" }
    return " like '\(model)'"
  }

  private func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
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
