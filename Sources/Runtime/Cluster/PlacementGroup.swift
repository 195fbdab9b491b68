public import IorunCore
public import IorunWire

/// Resources that are reserved together, on one node or several, for tasks and actors to run in.
public struct PlacementGroup: Sendable, Hashable, Codable {
  /// The group's id.
  public let id: GroupID
  /// What each bundle reserves.
  public let bundles: [[String: Double]]

  /// How bundles lie to each other.
  public typealias Strategy = PlacementGroupSpec.Strategy

  struct Create: Encodable {
    let group: GroupID
    let bundles: [ResourceAmounts]
    let strategy: Strategy
    let name: String
    let namespace: String?
    let detached: Bool
    let labels: [[String: String]]
    let maxRoundTripMilliseconds: Double?
  }
  struct Found: Decodable {
    let group: GroupID
    let bundles: [PlacementGroupStatus.Bundle]
  }
  struct Wait: Encodable { let group: GroupID, timeoutMilliseconds: Int }
  struct Named: Encodable { let group: GroupID }
  struct Standing: Decodable {
    let state: PlacementGroupStatus.State
    let reason: String?
  }
}
