internal import IorunContract
internal import IorunCore
internal import IorunCrypto

/// What the network of one attempt's gang was given: kept with the job until the attempt is over.
struct OverlayAllotment: Hashable, Codable, Sendable {
  /// Its addresses.
  var network: OverlayNetwork
  /// The gang's own secret, 32 bytes.
  var presharedKey: [UInt8]

  /// Draws a secret for `network`. Throws `internalFault` where there is no randomness.
  init(network: OverlayNetwork) throws {
    self.network = network
    presharedKey = try SecureRandom.bytes(32)
  }
}

/// Which network a gang that was just placed gets.
enum OverlayDecision: Sendable {
  /// One of its own.
  case overlay(OverlayAllotment)
  /// Its nodes' own; where it might have been another, why not.
  case host(reason: String?)
  /// It asked for one of its own, and cannot have it now.
  case refused(reason: String)
}

extension OverlayPool {
  /// Decides: what the spec says, else a network of the gang's own where ranks are on several nodes
  /// and every one of these can make tunnels. A gang of one node sends nothing to other machines, so
  /// it keeps the node's network (and with it the internet) unless it asks for its own.
  func decide(
    _ spec: JobSpec, on nodes: [NodeSnapshot], number: Int64, taken: [OverlayNetwork]
  ) throws -> OverlayDecision {
    if spec.network == .host || (spec.network == nil && nodes.count == 1) {
      return .host(reason: nil)
    }
    func without(_ reason: String) -> OverlayDecision {
      spec.network == nil ? .host(reason: reason) : .refused(reason: reason)
    }
    if let unable = nodes.first(where: { !$0.facts.canJoinGangNetworks }) {
      return without("\(unable.facts.name) cannot make tunnels")
    }
    if spec.network == .internet, let unable = nodes.first(where: { !$0.facts.canLeadOut }) {
      return without("\(unable.facts.name) leads nobody to the internet")
    }
    let local = nodes.flatMap { $0.facts.dataPlane?.localPrefixes ?? [] }
    guard
      let network = allot(
        nodes: nodes.count, number: number, avoiding: Set(local.map(\.masked)), taken: taken)
    else { return without("no addresses are left for a network of \(nodes.count) nodes") }
    return .overlay(try OverlayAllotment(network: network))
  }
}

extension NodeFacts {
  /// True where the node can give a gang a network of its own.
  var canJoinGangNetworks: Bool { dataPlane?.backend != nil }
  /// True where it can lead such a network to the internet.
  var canLeadOut: Bool { canJoinGangNetworks && dataPlane?.leadsOut == true }
}
