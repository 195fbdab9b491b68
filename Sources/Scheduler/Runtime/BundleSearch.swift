internal import IorunCore

/// Tries to put all bundles of a group on nodes; each way of trying keeps one strategy's rule.
struct BundleSearch {
  let request: GroupPlacement.Request
  let nodes: [RuntimeNode]
  let rooms: [ResourceAmounts]

  /// The bundles without a node, the hardest to place first.
  private var open: [Int] {
    request.bundles.indices.filter { request.fixedNode($0) == nil }
      .sorted { (weight($1), $0) < (weight($0), $1) }
  }

  /// A bundle's share of the largest node, in its scarcest resource.
  private func weight(_ bundle: Int) -> Double {
    request.bundles[bundle].units.reduce(0) { greatest, entry in
      let most = nodes.map { $0.total.units[entry.key, default: 0] }.max() ?? 0
      return max(greatest, Double(entry.value) / Double(max(1, most)))
    }
  }

  private func mayGo(_ bundle: Int, _ node: Int, _ rooms: [ResourceAmounts]) -> Bool {
    request.mayUse(nodes[node], for: bundle) && rooms[node].covers(request.bundles[bundle])
  }

  private func answer(_ assigned: [Int: Int]) -> [NodeID] {
    request.bundles.indices.compactMap { bundle in
      request.fixedNode(bundle) ?? assigned[bundle].map { nodes[$0].node }
    }
  }

  private func index(of node: NodeID) -> Int? { nodes.firstIndex { $0.node == node } }

  private var fixedIndices: [Int] { request.fixed.compactMap { $0.flatMap(index(of:)) } }

  /// All on one node: the fullest that has the room, so that large rooms stay large.
  func onOneNode(among candidates: [Int]) -> [NodeID]? {
    let fixed = Set(fixedIndices)
    guard fixed.count <= 1 else { return nil }
    let sum = open.reduce(ResourceAmounts()) { $0 + request.bundles[$1] }
    let able = candidates.filter { node in
      (fixed.isEmpty || fixed.contains(node)) && rooms[node].covers(sum)
        && open.allSatisfy { request.mayUse(nodes[node], for: $0) }
    }
    let best = able.max { left, right in
      let use = (nodes[left].utilisation(for: sum), nodes[right].utilisation(for: sum))
      return use.0 == use.1 ? left > right : use.0 < use.1
    }
    return best.map { node in answer(Dictionary(uniqueKeysWithValues: open.map { ($0, node) })) }
  }

  /// On as few nodes as possible: one, if one is enough; else nodes that are used already first, and
  /// then the one that takes most bundles.
  func packed(among candidates: [Int]) -> [NodeID]? {
    if let one = onOneNode(among: candidates) { return one }
    let bundles = open
    let capacity = Dictionary(
      uniqueKeysWithValues: candidates.map { node in
        (node, bundles.reduce(0) { $0 + (mayGo($1, node, rooms) ? 1 : 0) })
      })
    return search(bundles, among: candidates) { left, right, counts, _ in
      let used = (counts[left, default: 0] > 0, counts[right, default: 0] > 0)
      if used.0 != used.1 { return used.0 }
      let takes = (capacity[left, default: 0], capacity[right, default: 0])
      return takes.0 == takes.1 ? left < right : takes.0 > takes.1
    }
  }

  /// On as many nodes as possible: nodes with the fewest of these bundles first.
  func spread() -> [NodeID]? {
    search(open, among: Array(nodes.indices)) { left, right, counts, uses in
      let held = (counts[left, default: 0], counts[right, default: 0])
      if held.0 != held.1 { return held.0 < held.1 }
      return uses[left] == uses[right] ? left < right : uses[left] < uses[right]
    }
  }

  /// Depth first, in the order of preference at each step, with a bound on the steps.
  private func search(
    _ bundles: [Int], among candidates: [Int],
    prefers: (Int, Int, _ counts: [Int: Int], _ uses: [Double]) -> Bool
  ) -> [NodeID]? {
    var rooms = rooms
    var counts = Dictionary(fixedIndices.map { ($0, 1) }, uniquingKeysWith: +)
    let uses = nodes.map { $0.utilisation(for: ResourceAmounts()) }
    var assigned: [Int: Int] = [:]
    var steps = 0
    // The choices that are left at each depth, the best one last; a stack instead of recursion, for a
    // group may have thousands of bundles.
    var choices: [[Int]] = []
    while assigned.count < bundles.count {
      steps += 1
      guard steps <= GroupPlacement.searchLimit + bundles.count else { return nil }
      if choices.count == assigned.count {
        let bundle = bundles[choices.count]
        choices.append(
          candidates.filter { mayGo(bundle, $0, rooms) }
            .sorted { prefers($1, $0, counts, uses) })
      }
      if let node = choices[choices.count - 1].popLast() {
        let bundle = bundles[choices.count - 1]
        assigned[bundle] = node
        rooms[node] -= request.bundles[bundle]
        counts[node, default: 0] += 1
      } else {
        choices.removeLast()
        guard let depth = choices.indices.last,
          let node = assigned.removeValue(forKey: bundles[depth])
        else { return nil }
        rooms[node] += request.bundles[bundles[depth]]
        counts[node, default: 0] -= 1
      }
    }
    return answer(assigned)
  }

  /// Each on a node of its own: a maximum matching by augmenting paths, which finds one wherever there
  /// is one.
  func eachOnItsOwn() -> [NodeID]? {
    let taken = Set(fixedIndices)
    guard taken.count == request.fixed.compactMap(\.self).count,
      open.count + taken.count <= nodes.count
    else { return nil }
    var bundleOf: [Int: Int] = [:]
    func augment(_ bundle: Int, _ seen: inout Set<Int>) -> Bool {
      for node in nodes.indices where !taken.contains(node) && mayGo(bundle, node, rooms) {
        guard seen.insert(node).inserted else { continue }
        if let other = bundleOf[node], !augment(other, &seen) { continue }
        bundleOf[node] = bundle
        return true
      }
      return false
    }
    for bundle in open {
      var seen: Set<Int> = []
      if !augment(bundle, &seen) { return nil }
    }
    return answer(Dictionary(uniqueKeysWithValues: bundleOf.map { ($0.value, $0.key) }))
  }
}
