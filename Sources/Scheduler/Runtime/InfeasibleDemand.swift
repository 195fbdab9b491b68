internal import IorunCore

/// Explains why no node could ever take a demand, as a funnel: each node seen is counted once, at the
/// first thing that it lacks, and the end names the change that would help.
struct InfeasibleDemand {
  let request: LeasePlacement.Request
  let nodes: [RuntimeNode]

  private enum Finding: Hashable {
    case notAlive, barred(String), otherNode, unlabelled(String), tooSmall(String), fits
  }

  /// The refusal in words.
  var explanation: String { "\(funnel); \(advice)" }

  /// For example `3 nodes seen: 1 not alive, 2 have less than 8 CPU (most: node-1 with 4)`.
  private var funnel: String {
    if nodes.isEmpty { return "no nodes seen" }
    let groups = Dictionary(grouping: nodes, by: finding)
    let parts = groups.map { (order($0.key), words($0.key, $0.value)) }.sorted { $0 < $1 }
    let count = "\(nodes.count) node\(nodes.count == 1 ? "" : "s") seen"
    return "\(count): \(parts.map(\.1).joined(separator: ", "))"
  }

  private func finding(_ node: RuntimeNode) -> Finding {
    if !node.isPlaceable { return .notAlive }
    if let bar = node.bar { return .barred(bar) }
    if case .node(let wished, soft: false, _) = request.strategy, node.node != wished {
      return .otherNode
    }
    if let selector = request.selectors.first,
      !request.selectors.contains(where: { $0.matches(node.labels) }),
      let miss = selector.firstMiss(node.labels)
    {
      return .unlabelled(miss.words)
    }
    return lacking(node).map(Finding.tooSmall) ?? .fits
  }

  /// The first resource, by name, of which a node has too little.
  private func lacking(_ node: RuntimeNode) -> String? {
    request.resources.units.keys.sorted().first { name in
      node.total.units[name, default: 0] < request.resources.units[name, default: 0]
    }
  }

  private func order(_ finding: Finding) -> Int {
    switch finding {
    case .notAlive, .barred: 0
    case .otherNode: 1
    case .unlabelled: 2
    case .tooSmall: 3
    case .fits: 4
    }
  }

  private func words(_ finding: Finding, _ nodes: [RuntimeNode]) -> String {
    let verb = nodes.count == 1 ? "has" : "have"
    switch finding {
    case .notAlive: return "\(nodes.count) not alive"
    case .barred(let reason): return "\(nodes.count) \(reason)"
    case .otherNode: return "\(nodes.count) other than the node asked for"
    case .unlabelled(let term): return "\(nodes.count) without the label \(term)"
    case .fits: return "\(nodes.count) \(failsWhenBusy ? "without room now" : "that would fit")"
    case .tooSmall(let name):
      guard let largest = largest(name, nodes), largest.total[name] > 0 else {
        return "\(nodes.count) \(verb) no \(name)"
      }
      let wanted = Self.amount(request.resources[name], name)
      return "\(nodes.count) \(verb) less than \(wanted) \(name)"
        + " (most: \(largest.name) with \(Self.amount(largest.total[name], name)))"
    }
  }

  /// True where the node that is wished for could take it once something has ended there.
  private var failsWhenBusy: Bool {
    guard case .node(let wished, _, failsWhenBusy: true) = request.strategy else { return false }
    return nodes.contains { $0.node == wished && finding($0) == .fits }
  }

  private var advice: String {
    let usable = nodes.filter { node in
      switch finding(node) {
      case .tooSmall, .fits: true
      case .notAlive, .barred, .otherNode, .unlabelled: false
      }
    }
    // One resource alone is in the way on some node: to ask for less of it helps.
    var best: (kept: Double, words: String)?
    for node in usable.sorted(by: { ($0.name, $0.node) < ($1.name, $1.node) }) {
      let short = request.resources.units.filter { node.total.units[$0.key, default: 0] < $0.value }
      guard short.count == 1, let name = short.keys.first, node.total[name] > 0 else { continue }
      let kept = node.total[name] / request.resources[name]
      if kept > best?.kept ?? 0 {
        best = (kept, "lower \(Self.option(name)) to \(Self.amount(node.total[name], name))")
      }
    }
    if let best { return best.words }
    if failsWhenBusy { return "try again later, or let it wait" }
    if case .node(_, soft: false, _) = request.strategy {
      return "name a node that is alive, or make the affinity soft"
    }
    if usable.isEmpty, !request.selectors.allSatisfy(\.isEmpty),
      nodes.contains(where: \.isPlaceable)
    {
      return "change the label selector, or start a node with that label: iorun join --labels"
    }
    return "add a node that has it with `iorun join`"
  }

  private func largest(_ name: String, _ nodes: [RuntimeNode]) -> RuntimeNode? {
    nodes.min { left, right in
      let amounts = (left.total.units[name, default: 0], right.total.units[name, default: 0])
      return amounts.0 == amounts.1 ? left.name < right.name : amounts.0 > amounts.1
    }
  }

  /// The option of the SDK that asks for a resource.
  static func option(_ name: String) -> String {
    switch name {
    case ResourceAmounts.cpu: "num_cpus"
    case ResourceAmounts.gpu: "num_gpus"
    case ResourceAmounts.memory, ResourceAmounts.objectStoreMemory: name
    default: "resources[\"\(name)\"]"
    }
  }

  /// An amount for a person: bytes as such, everything else as a number.
  static func amount(_ value: Double, _ name: String) -> String {
    if name == ResourceAmounts.memory || name == ResourceAmounts.objectStoreMemory,
      value >= 0, value < 9e18
    {
      return "\(Bytes(UInt64(value)))"
    }
    return value == value.rounded() && abs(value) < 9e15 ? "\(Int64(value))" : "\(value)"
  }
}
