public import IorunCore

/// What `spread_over` of a spec, and the flag of that name, can name.
public enum SpreadOver: String, CaseIterable, Sendable {
  case supplier
  case region

  /// Lets at most so many ranks depend on one of them.
  public func set(_ most: Int, in terms: inout PlacementTerms) {
    switch self {
    case .supplier: terms.mostRanksPerSupplier = most
    case .region: terms.mostRanksPerRegion = most
    }
  }
}

extension JobSpec.Gang {
  /// Changes the terms; a gang that then asks nothing has none.
  public mutating func change(_ change: (inout PlacementTerms) -> Void) {
    var terms = terms ?? PlacementTerms()
    change(&terms)
    self.terms = terms.isEmpty ? nil : terms
  }
}

/// Reads the keys of a gang that say which nodes it wants.
enum TermsReader {
  /// These keys.
  static let keys = ["labels", "spread_over", "max_price", "spares", "on_loss", "min_ranks"]

  /// One strategy, or a list of them that are tried in order.
  static func strategies(_ node: SpecNode) throws -> [GangStrategy] {
    guard !node.isScalar else { return [try strategy(node)] }
    let items = try node.items("a strategy, or a list of those that are tried in order")
    guard (1...JobLimits.fallbackLimit + 1).contains(items.count) else {
      throw node.fault(
        "\(node.path) names \(items.count) strategies",
        allowed: "Name 1 to \(JobLimits.fallbackLimit + 1), the best first")
    }
    return try items.map(strategy)
  }

  private static func strategy(_ node: SpecNode) throws -> GangStrategy {
    let text = try node.text("PACK, SPREAD, STRICT_PACK, STRICT_SPREAD or SITE(20ms)")
    guard let strategy = GangStrategy(text) else {
      throw node.fault(
        "\(node.path) is '\(text)'",
        allowed: "Write PACK, SPREAD, STRICT_PACK, STRICT_SPREAD, SITE or SITE(20ms)")
    }
    return strategy
  }

  /// Everything else.
  static func read(_ values: [String: SpecNode], into gang: inout JobSpec.Gang) throws {
    var terms = gang.terms ?? PlacementTerms()
    terms.labels = try values["labels"].map(labels)
    if let node = values["spread_over"] { try spread(node, &terms) }
    terms.mostMicrodollarsPerHour = try values["max_price"].map { node in
      Int((try node.number(in: 0...1000) * 1e6).rounded())
    }
    terms.spares = try values["spares"].map { try $0.integer(in: JobLimits.spares) }
    terms.onLoss = try values["on_loss"].map(onLoss)
    if let node = values["min_ranks"] {
      terms.leastRanks = try node.integer(in: 1...gang.ranks)
      guard terms.onLoss == .shrink else {
        throw node.fault(
          "min_ranks is there, but the gang does not shrink",
          allowed: "Add on_loss: shrink, or leave min_ranks out")
      }
    }
    gang.terms = terms.isEmpty ? nil : terms
  }

  private static func labels(_ node: SpecNode) throws -> [String: String] {
    var labels: [String: String] = [:]
    for (key, value) in try node.entries("a group of label: selector") {
      let name = try key.written("a label's name")
      let text = try value.written("a value, !value, in(a,b), !in(a,b), * or !*")
      guard isSelector(text), !name.isEmpty else {
        throw value.fault(
          "'\(name)': '\(text)' is no label selector",
          allowed: "Write a value, '!value', in(a,b), '!in(a,b)', '*' or '!*'")
      }
      labels[name] = text
    }
    guard labels.count <= JobLimits.labelLimit else {
      throw node.fault(
        "labels has \(labels.count) keys", allowed: "Give at most \(JobLimits.labelLimit)")
    }
    return labels
  }

  /// The head reads them in full; here what is surely wrong is found with its line.
  private static func isSelector(_ text: String) -> Bool {
    let body = text.hasPrefix("!") ? text.dropFirst() : text[...]
    guard body.hasPrefix("in(") else { return !body.isEmpty }
    return body.hasSuffix(")")
      && body.dropFirst(3).dropLast().split(separator: ",", omittingEmptySubsequences: false)
        .allSatisfy { $0.contains { $0 != " " } }
  }

  private static func spread(_ node: SpecNode, _ terms: inout PlacementTerms) throws {
    let allowed = "Write supplier, region, a list of both, or {supplier: 2} for at most two ranks"
    func name(_ node: SpecNode) throws -> SpreadOver {
      let text = try node.text("supplier or region")
      guard let name = SpreadOver(rawValue: text) else {
        throw node.fault("\(node.path) is '\(text)'", allowed: allowed)
      }
      return name
    }
    if node.isScalar {
      try name(node).set(1, in: &terms)
    } else if node.isGroup {
      for (key, value) in try node.entries() {
        try name(key).set(try value.integer(in: JobLimits.ranks), in: &terms)
      }
    } else {
      for item in try node.items() { try name(item).set(1, in: &terms) }
    }
  }

  private static func onLoss(_ node: SpecNode) throws -> PlacementTerms.OnLoss {
    let words = PlacementTerms.OnLoss.words
    let text = try node.text(words)
    guard let policy = PlacementTerms.OnLoss(rawValue: text) else {
      throw node.fault("on_loss is '\(text)'", allowed: "Write \(words)")
    }
    return policy
  }
}
