internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The rules by which a job's own terms leave nodes out, whatever room these have. Each rule is one
/// function; a node counts in the funnel at the first that it breaks.
struct PlacementFilter {
  /// Says which term a node breaks, in words that follow a number (`3 ask more than $1.00 an hour`);
  /// `nil` where it breaks none.
  typealias Rule = (NodeSnapshot, NodeStanding) -> String?

  private let rules: [Rule]

  /// The rules of a spec: a new kind of term is one more line here.
  ///
  /// - Parameter enforcesProofs: whether some nodes have not proved what they are, and must have.
  init(_ spec: JobSpec, enforcesProofs: Bool = false) {
    rules = [
      enforcesProofs ? Self.proof(spec) : nil, Self.gangNetwork(spec), Self.image(spec),
      Self.labels(spec), Self.price(spec),
    ].compactMap(\.self)
  }

  /// False where every node will do.
  var asksAnything: Bool { !rules.isEmpty }

  /// The first term that a node breaks; `nil` where it may be used.
  func objection(to node: NodeSnapshot, _ standing: NodeStanding) -> String? {
    rules.lazy.compactMap { $0(node, standing) }.first
  }

  private static func proof(_ spec: JobSpec) -> Rule? {
    guard spec.verification != .any else { return nil }
    return { node, _ in node.isUnproved ? "not verified (verification: any takes them)" : nil }
  }

  private static func gangNetwork(_ spec: JobSpec) -> Rule? {
    guard let network = spec.network, network != .host else { return nil }
    return { node, _ in
      guard node.facts.canJoinGangNetworks else { return "cannot join a gang's own network" }
      return network != .internet || node.facts.canLeadOut
        ? nil : "lead nobody to the internet (network: internet)"
    }
  }

  private static func image(_ spec: JobSpec) -> Rule? {
    guard spec.image != nil else { return nil }
    return { node, _ in
      node.facts.sandbox == nil ? "run no images, because they have no sandbox" : nil
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

/// All of a spec that decides where it may run: specs with the same question get the same answer. What
/// a rule of `PlacementFilter` looks at belongs here.
struct PlacementQuestion: Hashable {
  private var gang: JobSpec.Gang
  private let network: JobSpec.Network?
  private let verification: JobSpec.Verification?
  private let hasImage: Bool

  init(_ spec: JobSpec, ranks: Int) {
    gang = spec.gang
    gang.ranks = ranks
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
