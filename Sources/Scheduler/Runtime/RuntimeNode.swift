public import IorunCore

/// One node as the placement of tasks, actors and bundles sees it.
public struct RuntimeNode: Sendable, Hashable {
  /// The node.
  public var node: NodeID
  /// Its name for people; breaks ties between equal nodes.
  public var name: String
  /// Everything that it offers.
  public var total: ResourceAmounts
  /// What of it is free.
  public var available: ResourceAmounts
  /// Its labels.
  public var labels: [String: String]
  /// True where it may be given new work.
  public var isPlaceable: Bool
  /// Why it takes nothing of the job that asks, whatever room it has; `nil` where it does.
  public var bar: String?
  /// The round trip between it and the head; `nil` where none was measured yet.
  public var roundTripMilliseconds: Double?

  /// Describes a node.
  public init(
    node: NodeID, name: String, total: ResourceAmounts, available: ResourceAmounts,
    labels: [String: String] = [:], isPlaceable: Bool = true, roundTripMilliseconds: Double? = nil,
    bar: String? = nil
  ) {
    self.bar = bar
    self.node = node
    self.name = name
    self.total = total
    self.available = available
    self.labels = labels
    self.isPlaceable = isPlaceable
    self.roundTripMilliseconds = roundTripMilliseconds
  }

  /// The used share of its scarcest resource among CPU, memory and what `request` names, from 0 to 1.
  func utilisation(for request: ResourceAmounts) -> Double {
    var greatest = 0.0
    for (name, whole) in total.units where whole > 0 {
      guard
        name == ResourceAmounts.cpu || name == ResourceAmounts.memory
          || name == ResourceAmounts.objectStoreMemory || request.units[name] != nil
      else { continue }
      let share = 1 - Double(available.units[name, default: 0]) / Double(whole)
      greatest = max(greatest, share)
    }
    return min(1, max(0, greatest))
  }
}
