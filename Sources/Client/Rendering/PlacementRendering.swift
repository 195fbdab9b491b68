public import IorunContract
internal import IorunCore

/// Sites, plans, offers and explanations for people.
public enum PlacementRendering {
  /// Sites as a table, the largest first.
  public static func table(_ sites: NetworkSites, nodes: [NodeStatus]) -> Table {
    let names = Dictionary(nodes.map { ($0.id, $0.facts.name) }) { $1 }
    return Table(
      columns: [
        .init("SITE", isRightAligned: true), .init("NODES", mayShrink: true),
        .init("NEAREST SITES", mayShrink: true),
      ],
      rows: sites.sites.map { site in
        [
          "\(site.number)", site.nodes.map { names[$0] ?? $0.short }.joined(separator: ", "),
          site.neighbours.prefix(4)
            .map { "\($0.site): \(milliseconds($0.roundTripMilliseconds))" }
            .joined(separator: ", "),
        ]
      })
  }

  /// Where a job would run, a line a rank, and how far its nodes are from each other.
  public static func plan(_ plan: PlacementPlan) -> String {
    var lines = plan.places.map { place in
      let gpus = place.gpuIndices.isEmpty ? "" : "  GPUs \(place.gpuIndices)"
      return "rank \(place.rank)  \(place.nodeName)\(gpus)"
    }
    if let sites = plan.sites, !sites.isEmpty {
      lines.append(span(sites, plan.longestRoundTripMilliseconds))
    }
    lines += plan.choice.map(why) ?? []
    return text(lines)
  }

  /// Why these nodes, a line each.
  private static func why(_ choice: PlacementChoice) -> [String] {
    var lines = choice.reasons.map { "why: \($0)" }
    if !choice.spares.isEmpty {
      lines.append("spares: \(choice.spares.map(\.nodeName).joined(separator: ", "))")
    }
    return lines
  }

  /// Offers as a table, by price.
  public static func table(_ offers: [PlacementOffer]) -> Table {
    Table(
      columns: [
        .init("OFFER", isRightAligned: true), .init("$/HOUR", isRightAligned: true),
        .init("LONGEST RTT", isRightAligned: true), .init("RELIABILITY", isRightAligned: true),
        .init("NODES", mayShrink: true), .init("WHY", mayShrink: true),
      ],
      rows: offers.enumerated().map { index, offer in
        [
          "\(index + 1)", cents(offer.microdollarsPerHour),
          offer.longestRoundTripMilliseconds.map(milliseconds) ?? "unknown",
          "\((offer.reliability * 1000).rounded(.down) / 10) %",
          offer.shares.map { $0.ranks == 1 ? $0.nodeName : "\($0.nodeName) x\($0.ranks)" }
            .joined(separator: ", "), offer.words,
        ]
      })
  }

  /// Why a job is where it is, or why it waits.
  public static func explanation(_ explanation: JobExplanation) -> String {
    let job = explanation.job
    var lines = [JobRendering.changeLine(job)]
    let strategies = [job.spec.gang.placement ?? .spread] + (job.spec.gang.terms?.fallbacks ?? [])
    let wanted = strategies.map(\.description).joined(separator: ", else ")
    lines.append(
      "  asked: \(JobRendering.plural(job.spec.gang.ranks, "rank")), each "
        + "\(job.spec.gang.resources), \(wanted)")
    if !job.ranks.isEmpty {
      let counts = Dictionary(grouping: job.ranks, by: \.nodeName).mapValues(\.count)
      let shares = counts.sorted { $0.key < $1.key }.map { "\($0.key) x\($0.value)" }
      lines.append("  placed: \(shares.joined(separator: ", "))")
      if !explanation.sites.isEmpty {
        lines.append("  \(span(explanation.sites, explanation.longestRoundTripMilliseconds))")
      }
      lines += (explanation.choice.map(why) ?? []).map { "  \($0)" }
    }
    if let plan = explanation.plan {
      if let refusal = plan.refusal {
        lines.append("  waits: \(refusal)")
        if !plan.fitsWhenIdle { lines.append("  it fits on no set of the nodes there are") }
      } else {
        lines.append("  it would be placed now on:")
        lines += text(plan).map { "    \($0)" }
      }
    }
    lines += JobRendering.limits(job).map { "  \($0)" }
    for note in explanation.notes ?? [] { lines.append("  place not believed: \(note)") }
    return text(lines)
  }

  private static func text(_ plan: PlacementPlan) -> [String] {
    self.plan(plan).split(separator: "\n").map(String.init)
  }

  private static func span(_ sites: [Int], _ longest: Double?) -> String {
    let trip = longest.map { "at most \(milliseconds($0)) apart" } ?? "how far apart is not known"
    return sites.count == 1
      ? "all in site \(sites[0])"
      : "in sites \(sites.map(String.init).joined(separator: ", ")), \(trip)"
  }

  private static func milliseconds(_ value: Double) -> String {
    guard value.isFinite, abs(value) < 1e9 else { return "?" }
    return "\((value * 10).rounded() / 10) ms"
  }

  private static func cents(_ microdollars: Int) -> String {
    let cents = (microdollars + 5000) / 10_000
    let rest = cents % 100
    return "\(cents / 100).\(rest < 10 ? "0" : "")\(rest)"
  }

  private static func text(_ lines: [String]) -> String {
    lines.map { TerminalText.oneLine($0) + "\n" }.joined()
  }
}
