internal import IorunCore

/// Refuses facts that no machine has, and makes names safe to print.
enum NodeFactsCheck {
  private static let longestText = 256
  private static let longestName = 63
  private static let longestReason = 2048

  /// Throws `malformed` where a number or a text is out of bounds.
  static func check(_ facts: NodeFacts) throws {
    guard (0...100_000_000).contains(facts.milliCPUs), facts.gpus.count <= 256 else {
      throw refusal("\(facts.milliCPUs) thousandths of a CPU and \(facts.gpus.count) GPUs")
    }
    let texts =
      [facts.name, facts.hostname, facts.address, facts.interface, facts.cpuModel, facts.system]
      + [facts.version, facts.sandbox ?? ""] + facts.gpus.flatMap { [$0.model, $0.uuid] }
      + isolation(facts.isolation)
    for text in texts where text.utf8.count > longestText || text.utf8.contains(where: { $0 < 32 })
    {
      throw refusal("a text that is too long or has control characters")
    }
    if let found = facts.isolation {
      let longest = max(found.drivers.count, found.missingLimits.count, found.egress.count)
      guard longest <= NodeFacts.Isolation.listLimit else {
        throw refusal("an isolation with too long a list")
      }
    }
    if let plane = facts.dataPlane {
      guard (plane.backend ?? "").utf8.count <= longestText,
        (plane.reason ?? "").utf8.count <= longestReason,
        plane.localPrefixes.count <= NodeFacts.DataPlane.prefixLimit
      else { throw refusal("a data plane with too long a list or text") }
    }
    if let objection = facts.claims?.objection { throw refusal(objection) }
    // What the network says of a node, no node says of itself.
    for key in (facts.claims?.labels ?? [:]).keys
    where key.hasPrefix("iorun.io/") || key.hasPrefix("ray.io/") {
      throw refusal("the label '\(key)'")
    }
    guard !facts.address.isEmpty else { throw refusal("no address") }
  }

  private static func isolation(_ found: NodeFacts.Isolation?) -> [String] {
    guard let found else { return [] }
    return found.drivers + found.missingLimits + found.egress
      + [found.scratch, found.tier].compactMap(\.self)
  }

  /// The name with everything but ASCII letters, digits, dots and dashes made a dash.
  static func cleanName(_ name: String) -> String {
    let clean = name.prefix(longestName).map { character -> Character in
      let isPlain = character.isASCII && (character.isLetter || character.isNumber)
      return isPlain || character == "." || character == "-" || character == "_" ? character : "-"
    }
    return clean.isEmpty ? "node" : String(clean)
  }

  private static func refusal(_ what: String) -> IorunError {
    IorunError(
      .malformed, "a node says of itself: \(what)",
      remedy: "Use the same version of iorun on the node and the head")
  }
}
