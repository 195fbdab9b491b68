public import IorunCore

/// Chooses the node of a task or an actor: values in, a decision out.
///
/// The default is Ray's hybrid rule: the asking node while it is less than half used, else the least
/// used node; below one half all nodes count as equal, so that work stays where its caller is.
public struct LeasePlacement: Sendable {
  /// Where among the nodes that fit.
  public enum Strategy: Sendable, Hashable {
    /// The asking node first, then the least used one.
    case standard
    /// The next node after `last`, in the order of their names.
    case spread(last: NodeID?)
    /// One node; where `soft`, any other if that one never can. `failsWhenBusy`: it is not waited for.
    case node(NodeID, soft: Bool, failsWhenBusy: Bool = false)
  }

  /// What is asked for.
  public struct Request: Sendable, Hashable {
    /// What must be free.
    public var resources: ResourceAmounts
    /// Where among the nodes that fit.
    public var strategy: Strategy
    /// Selectors to try in order; empty for any node.
    public var selectors: [LabelSelector]
    /// The node that asks.
    public var origin: NodeID?
    /// Nodes that have just refused.
    public var excluding: Set<NodeID>

    /// Describes a request.
    public init(
      resources: ResourceAmounts, strategy: Strategy = .standard, selectors: [LabelSelector] = [],
      origin: NodeID? = nil, excluding: Set<NodeID> = []
    ) {
      self.resources = resources
      self.strategy = strategy
      self.selectors = selectors
      self.origin = origin
      self.excluding = excluding
    }
  }

  /// What was decided.
  public enum Decision: Sendable, Hashable {
    /// There.
    case place(NodeID)
    /// No node that could take it has room now.
    case wait
    /// No node could ever take it; why, with the nearest miss and what to change.
    case infeasible(String)
  }

  /// The share of use from which a node counts as busy (Ray's `scheduler_spread_threshold`).
  public static let busyShare = 0.5

  /// Makes a placement; it keeps nothing between calls.
  public init() {}

  /// Finds a node. The same request and nodes give the same answer, in whatever order they come.
  public func place(_ request: Request, on nodes: [RuntimeNode]) -> Decision {
    let selectors = request.selectors.isEmpty ? [nil] : request.selectors.map(Optional.some)
    var isFeasible = false
    for selector in selectors {
      let able = nodes.filter { node in
        node.isPlaceable && node.bar == nil && node.total.covers(request.resources)
          && selector?.matches(node.labels) ?? true
      }
      let (candidates, mayWait) = candidates(able, request.strategy)
      isFeasible = isFeasible || mayWait
      let free = candidates.filter {
        !request.excluding.contains($0.node) && $0.available.covers(request.resources)
      }
      if let best = best(free, request) { return .place(best.node) }
    }
    if isFeasible { return .wait }
    return .infeasible(InfeasibleDemand(request: request, nodes: nodes).explanation)
  }

  /// The nodes to choose from, and whether it is worth to wait for one of them.
  private func candidates(_ able: [RuntimeNode], _ strategy: Strategy) -> ([RuntimeNode], Bool) {
    guard case .node(let wished, let soft, let failsWhenBusy) = strategy else {
      return (able, !able.isEmpty)
    }
    let named = able.filter { $0.node == wished }
    if named.isEmpty, soft { return (able, !able.isEmpty) }
    return (named, !named.isEmpty && !failsWhenBusy)
  }

  private func best(_ free: [RuntimeNode], _ request: Request) -> RuntimeNode? {
    if case .spread(let last) = request.strategy {
      let order = free.sorted { ($0.name, $0.node) < ($1.name, $1.node) }
      guard let last, let previous = order.firstIndex(where: { $0.node == last }) else {
        return order.first { $0.node != last } ?? order.first
      }
      return order[(previous + 1) % order.count]
    }
    let wantsGPU = request.resources.units[ResourceAmounts.gpu] != nil
    func rank(_ node: RuntimeNode) -> (Double, Int, Int, Double) {
      let use = node.utilisation(for: request.resources)
      let wastesGPU = !wantsGPU && node.total.units[ResourceAmounts.gpu] != nil
      return (
        use < Self.busyShare ? 0 : use, node.node == request.origin ? 0 : 1, wastesGPU ? 1 : 0, use
      )
    }
    return free.min { left, right in
      let (first, second) = (rank(left), rank(right))
      return first == second ? (left.name, left.node) < (right.name, right.node) : first < second
    }
  }
}
