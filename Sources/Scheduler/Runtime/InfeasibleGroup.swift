internal import IorunCore

/// Explains why no set of nodes could ever hold a placement group, and what to change.
struct InfeasibleGroup {
  let request: GroupPlacement.Request
  let nodes: [RuntimeNode]

  /// The refusal in words.
  var explanation: String {
    // One bundle that fits nowhere is the plainest reason.
    for (index, bundle) in request.bundles.enumerated() {
      let selectors = index < request.selectors.count ? [request.selectors[index]] : []
      let demand = LeasePlacement.Request(resources: bundle, selectors: selectors)
      if case .infeasible(let reason) = LeasePlacement().place(demand, on: nodes) {
        return "bundle \(index) (\(bundle)) fits on no node: \(reason)"
      }
    }
    let count = "\(request.bundles.count) bundles"
    let alive = nodes.filter(\.isPlaceable).count
    let seen = "\(nodes.count) node\(nodes.count == 1 ? "" : "s") seen, \(alive) alive"
    switch request.strategy {
    case .strictSpread:
      return "\(seen): \(count) cannot each have a node of their own; "
        + "ask for at most \(alive), use SPREAD, or add nodes with `iorun join`"
    case .strictPack:
      let sum = request.bundles.reduce(ResourceAmounts()) { $0 + $1 }
      let whole = LeasePlacement.Request(resources: sum)
      guard case .infeasible(let reason) = LeasePlacement().place(whole, on: nodes) else {
        return "\(seen): no node fits the labels of all \(count); use PACK"
      }
      return "all \(count) together (\(sum)) fit on no node: \(reason), or use PACK"
    case .site(let limit):
      let near = nodes.compactMap { node in node.roundTripMilliseconds.map { ($0, node.name) } }
        .sorted { $0 < $1 }
      let nearest =
        near.count < 2
        ? "" : " (the nearest two nodes are \(Self.words(near[0].0 + near[1].0)) apart)"
      return "\(seen): no nodes within \(Self.words(limit)) of each other hold \(count)\(nearest); "
        + "allow a longer round trip or fewer bundles"
    case .pack, .spread:
      return "\(seen): together they are too small for all \(count); "
        + "ask for fewer or smaller bundles, or add nodes with `iorun join`"
    }
  }

  private static func words(_ milliseconds: Double) -> String {
    "\((milliseconds * 100).rounded() / 100) ms"
  }
}
