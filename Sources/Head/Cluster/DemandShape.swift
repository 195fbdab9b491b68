internal import IorunCore
internal import IorunWire

/// What decides whether demands can be placed alike: where one of a shape finds no room, none does.
enum DemandShape: Hashable, Sendable {
  case demand(Demand)
  case group(GroupID)

  /// A task's or an actor's.
  struct Demand: Hashable, Sendable {
    /// What must be free.
    var placement: ResourceAmounts
    var strategy: RuntimeDemand.Strategy
    /// Label selectors to try in order; empty for any node.
    var selectors: [[String: String]]
    var bundle: RuntimeDemand.Bundle?
    /// The node to prefer: the one that asks, or the one that has the data.
    var origin: NodeID

    /// Whose job it is; empty where every node takes everybody's.
    var tenant: String

    init(_ demand: RuntimeDemand, origin: NodeID, tenant: String) {
      self.tenant = tenant
      // What is only needed to be placed comes on top of what is held, name by name.
      placement = ResourceAmounts(
        units: demand.resources.units.merging(demand.placement?.units ?? [:], uniquingKeysWith: max)
      )
      strategy = demand.strategy
      selectors =
        demand.labels.isEmpty && demand.fallback.isEmpty ? [] : [demand.labels] + demand.fallback
      bundle = demand.bundle
      self.origin = demand.strategy == .standard ? demand.near ?? origin : origin
    }
  }
}
