public import IorunCore

/// What the last ranks asked of nodes: the mix against which packing judges what it leaves over.
public struct PackingHistory: Sendable {
  /// What one rank asks.
  struct Ask: Hashable, Sendable {
    var resources: ResourceSet
    var gpuModel: String
  }

  /// How many jobs are remembered, and how many ranks of one count.
  private static let limit = 2048
  private static let mostRanks = 1024

  private(set) var counts: [Ask: Int] = [:]
  private var recent: [(ask: Ask, ranks: Int)] = []
  private var next = 0

  /// Remembers nothing.
  public init() {}

  /// A job was accepted.
  public mutating func accepted(ranks: Int, of resources: ResourceSet, gpuModel: String?) {
    let ask = Ask(resources: resources, gpuModel: (gpuModel ?? "").lowercased())
    let entry = (ask: ask, ranks: min(max(ranks, 0), Self.mostRanks))
    if recent.count < Self.limit {
      recent.append(entry)
    } else {
      let old = recent[next]
      recent[next] = entry
      next = (next + 1) % Self.limit
      let left = (counts[old.ask] ?? 0) - old.ranks
      counts[old.ask] = left > 0 ? left : nil
    }
    counts[ask, default: 0] += entry.ranks
  }
}
