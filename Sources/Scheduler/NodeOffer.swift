public import IorunCore

/// One node as placement sees it: what it has, what is taken, and whether it can be given work.
public struct NodeOffer: Sendable, Hashable {
  /// The node.
  public var node: PeerID
  /// Its name for people; breaks ties between equal nodes.
  public var name: String
  /// Everything it offers, before any lease.
  public var capacity: ResourceSet
  /// Its accelerators, in device order; a lease names them by their index here.
  public var gpus: [NodeFacts.GPU]
  /// What its leases take together.
  public var used: ResourceSet
  /// The indices in `gpus` that leases hold.
  public var usedGPUs: Set<Int>
  /// True for a node that is alive and may be given new work.
  public var isPlaceable: Bool
  /// Who offers it; empty where that does not matter.
  public var supplier: String
  /// Where it is; nodes of which that is not known share the empty region.
  public var region: String

  /// Describes a node to the placer.
  public init(
    node: PeerID, name: String, capacity: ResourceSet, gpus: [NodeFacts.GPU], used: ResourceSet,
    usedGPUs: Set<Int>, isPlaceable: Bool, supplier: String = "", region: String = ""
  ) {
    self.supplier = supplier
    self.region = region
    self.node = node
    self.name = name
    self.capacity = capacity
    self.gpus = gpus
    self.used = used
    self.usedGPUs = usedGPUs
    self.isPlaceable = isPlaceable
  }
}
