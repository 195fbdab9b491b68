internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// What placement knows of a node beside its room: who offers it, where it is, what it costs, how
/// reliable it was.
struct NodeStanding: Sendable, Hashable {
  /// Whose node it is: the tenant's name, or the node's id where it has none.
  var supplier: String
  /// What selectors look at: what the node says, and over that what its ticket says. Without a place
  /// that is in doubt.
  var labels: [String: String] = [:]
  /// Where it is, for those who want to be in several regions; empty where that is not known.
  var region = ""
  /// The price of an hour of one GPU, or of one core where there is none; 0 where nothing is asked.
  var microdollarsPerHour = 0
  /// The part of its promised time that it served, from 0 to 1.
  var reliability = 1.0
  /// Why the place that it claims is not believed; `nil` where nothing contradicts it.
  var placeDoubt: String?
  /// How fast its way to other nodes was measured to be.
  var tier = ConnectivityTier.unrated
  /// What an operator certifies of it, by its ticket's labels.
  var security: SecurityLabels = []

  /// The labels that say where a node is.
  static let placeLabels: Set<String> = ["country", "city", "region"]

  /// The labels of tickets by which operators certify nodes.
  private static let securityLabels: [String: SecurityLabels] = [
    "iorun.io/security-soc2": .soc2, "iorun.io/security-e2e": .endToEnd,
    "iorun.io/security-tee": .trustedExecution,
  ]

  init(supplier: String) { self.supplier = supplier }

  /// - Parameters:
  ///   - vouched: what the node's ticket says of it: an operator's word, which no measurement undoes.
  ///   - tier: how fast its way to other nodes was measured to be.
  init(
    _ node: NodeSnapshot, supplier: String, vouched: [String: String], placeDoubt: String?,
    tier: ConnectivityTier
  ) {
    self.supplier = supplier
    self.placeDoubt = placeDoubt
    self.tier = tier
    for (name, label) in Self.securityLabels where !(vouched[name] ?? "").isEmpty {
      security.insert(label)
    }
    let claims = node.facts.claims ?? NodeClaims()
    microdollarsPerHour = claims.microdollarsPerHour ?? 0
    reliability = node.reliability
    labels = claims.labels ?? [:]
    labels["country"] = claims.country ?? labels["country"]
    labels["city"] = claims.city ?? labels["city"]
    if placeDoubt != nil { for label in Self.placeLabels { labels[label] = nil } }
    labels["iorun.io/node-name"] = node.facts.name
    labels["iorun.io/connectivity"] = tier.name
    labels["iorun.io/isolation"] = node.facts.sandbox ?? "none"
    labels["iorun.io/isolation-tier"] = node.facts.isolation?.tier
    if let gpu = node.facts.gpus.first { labels["iorun.io/accelerator-type"] = gpu.model }
    labels.merge(vouched) { $1 }
    region = labels["region"] ?? labels["country"] ?? ""
  }
}
