internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The rules by which a job's own terms leave nodes out, whatever room these have. Each rule is one
/// function; a node counts in the funnel at the first that it breaks.
struct PlacementFilter: Sendable {
  /// Says which term a node breaks, in words that follow a number (`3 ask more than $1.00 an hour`);
  /// `nil` where it breaks none.
  typealias Rule = @Sendable (NodeSnapshot, NodeStanding) -> String?

  private let rules: [Rule]

  /// The rules of a spec: a new kind of term is one more line here.
  ///
  /// - Parameters:
  ///   - owner: whose job it is.
  ///   - enforcesProofs: whether some nodes have not proved what they are, and must have.
  ///   - hasBareNodes: whether some nodes take their owners' work alone.
  init(
    _ spec: JobSpec, owner: JobOwner, enforcesProofs: Bool = false, hasBareNodes: Bool = true
  ) {
    rules = [
      Self.isolation(spec, owner, hasBareNodes: hasBareNodes),
      Self.proof(spec, isEnforced: enforcesProofs), Self.gangNetwork(spec), Self.image(spec),
      Self.labels(spec), Self.price(spec),
    ].compactMap(\.self)
  }

  /// False where every node will do.
  var asksAnything: Bool { !rules.isEmpty }

  /// The first term that a node breaks; `nil` where it may be used.
  func objection(to node: NodeSnapshot, _ standing: NodeStanding) -> String? {
    rules.lazy.compactMap { $0(node, standing) }.first
  }

  /// The network's rule, or the spec's own where the network only keeps records.
  private static func proof(_ spec: JobSpec, isEnforced: Bool) -> Rule? {
    let isAsked = spec.verification == .required
    guard spec.verification != .any, isEnforced || isAsked else { return nil }
    let wantsGPUs = spec.gang.resources.gpus > 0
    return { node, _ in
      let isUnproved = node.isUnproved || (isAsked && node.isNotVerified)
      if isUnproved { return "not verified (verification: any takes them)" }
      return wantsGPUs && (node.hasUnprovedGPUs || (isAsked && node.hasGPUsNotVerified))
        ? "without a proof of their GPUs (verification: any takes them)" : nil
    }
  }

  private static func isolation(
    _ spec: JobSpec, _ owner: JobOwner, hasBareNodes: Bool
  ) -> Rule? {
    if spec.isolation == .required {
      return { node, _ in
        guard node.facts.sandbox != nil else { return "not isolated (isolation: required)" }
        // What is not limited there is not kept from its neighbours either.
        let missing = (node.facts.isolation?.missingLimits ?? []).sorted()
        return missing.isEmpty
          ? nil
          : "without a limit of \(missing.joined(separator: ", ")) (isolation: required)"
      }
    }
    guard hasBareNodes, !owner.isOperator else { return nil }
    return { node, standing in
      node.facts.takesStrangers || !owner.isStranger(to: standing)
        ? nil : "not isolated, so that they take their owners' jobs only"
    }
  }

  private static func gangNetwork(_ spec: JobSpec) -> Rule? {
    guard let network = spec.network, network != .host else { return nil }
    return { node, _ in
      guard node.facts.canJoinGangNetworks else { return "unable to join a gang's own network" }
      return network != .internet || node.facts.canLeadOut
        ? nil : "without a way to lead gangs to the internet (network: internet)"
    }
  }

  private static func image(_ spec: JobSpec) -> Rule? {
    guard spec.image != nil else { return nil }
    return { node, _ in
      node.facts.sandbox == nil ? "without a sandbox, which an image needs" : nil
    }
  }

  private static func labels(_ spec: JobSpec) -> Rule? {
    guard let labels = spec.gang.terms?.labels, !labels.isEmpty else { return nil }
    // What is stored was checked when it was accepted; one that was not matches nothing.
    guard let selector = try? LabelSelector(labels) else { return { _, _ in "without its labels" } }
    return { _, standing in
      selector.firstMiss(standing.labels).map { miss in
        let isHidden = standing.placeDoubt != nil && NodeStanding.placeLabels.contains(miss.key)
        return isHidden
          ? "of which the place is in doubt (\(miss.words) is asked)" : "not \(miss.words)"
      }
    }
  }

  private static func price(_ spec: JobSpec) -> Rule? {
    guard let most = spec.gang.terms?.mostMicrodollarsPerHour else { return nil }
    return { node, standing in
      standing.price(of: spec, on: node) > Double(most)
        ? "dearer than $\(DollarText.of(microdollars: most)) an hour" : nil
    }
  }
}

/// All of a spec that decides where it may run: specs with the same question get the same answer.
struct PlacementQuestion: Sendable, Hashable {
  private var gang: JobSpec.Gang
  private let terms: NodeTerms

  init(_ spec: JobSpec, of owner: JobOwner? = nil, ranks: Int) {
    gang = spec.gang
    gang.ranks = ranks
    terms = NodeTerms(spec, owner: owner)
  }
}

/// The part of a spec that a filter looks at: specs with the same terms leave out the same nodes. What a
/// rule of `PlacementFilter` looks at belongs here.
struct NodeTerms: Sendable, Hashable {
  private let labels: [String: String]?
  private let mostMicrodollarsPerHour: Int?
  /// Prices are those of a GPU or of a core.
  private let wantsGPUs: Bool
  private let network: JobSpec.Network?
  private let verification: JobSpec.Verification?
  private let isolation: JobSpec.Isolation?
  private let hasImage: Bool
  private let owner: JobOwner?

  /// - Parameter owner: whose job it is; `nil` where no node looks at that.
  init(_ spec: JobSpec, owner: JobOwner?) {
    self.owner = owner
    isolation = spec.isolation
    labels = spec.gang.terms?.labels
    mostMicrodollarsPerHour = spec.gang.terms?.mostMicrodollarsPerHour
    wantsGPUs = spec.gang.resources.gpus > 0
    network = spec.network
    verification = spec.verification
    hasImage = spec.image != nil
  }
}

extension NodeStanding {
  /// What an hour of one GPU costs the spec, or of one core where it asks for no GPU, in millionths of
  /// a dollar. The cores of a node with GPUs cost what all its GPUs do.
  func price(of spec: JobSpec, on node: NodeSnapshot) -> Double {
    let price = Double(microdollarsPerHour)
    guard spec.gang.resources.gpus == 0, !node.facts.gpus.isEmpty else { return price }
    let cores = max(1, Double(node.facts.milliCPUs) / 1000)
    return price * Double(node.facts.gpus.count) / cores
  }
}

/// Money for people.
enum DollarText {
  /// Dollars with two places, or more where these would be nothing.
  static func of(microdollars: Int) -> String {
    let places = microdollars >= 10_000 || microdollars == 0 ? 2 : 6
    let unit = places == 2 ? 10_000 : 1
    let (whole, rest) = (microdollars / 1_000_000, microdollars % 1_000_000 / unit)
    let digits = "\(rest)"
    return "\(whole).\(String(repeating: "0", count: places - digits.count))\(digits)"
  }
}
