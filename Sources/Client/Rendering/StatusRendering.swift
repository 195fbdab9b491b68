public import IorunContract
internal import IorunCore

/// The network at a glance for people. `now` is in seconds since 1970.
public enum StatusRendering {
  private static let nodeOrder = ["alive", "suspect", "unreachable", "dead", "left"]

  /// The lines of `iorun status`.
  public static func text(_ network: NetworkStatus, now: Double) -> String {
    let jobs = counts(network.jobs, order: JobState.allCases.map(\.rawValue))
    let nodes = counts(network.nodes, order: nodeOrder)
    let lines = [
      "head    \(network.head.short), iorun \(network.version), up "
        + Ages.duration(seconds: now - network.startedAt),
      "nodes   \(nodes.isEmpty ? "none; join one with `iorun join TICKET`" : nodes)",
      "free    \(free(network))",
      "jobs    \(jobs.isEmpty ? "none; run one with `iorun submit -- COMMAND`" : jobs)",
    ]
    return lines.map { TerminalText.oneLine($0) + "\n" }.joined()
  }

  /// For example `2 of 6 CPUs, 1 of 2 GPUs, 4 GiB of 12 GiB memory`.
  private static func free(_ network: NetworkStatus) -> String {
    let (free, all) = (network.free, network.capacity)
    var parts = [
      "\(NodeRendering.cores(free.milliCPUs)) of \(NodeRendering.cores(all.milliCPUs)) CPUs"
    ]
    if all.gpus > 0 { parts.append("\(free.gpus) of \(all.gpus) GPUs") }
    parts.append("\(free.memory) of \(all.memory) memory")
    parts.append("\(free.disk) of \(all.disk) disk")
    return parts.joined(separator: ", ")
  }

  /// `3 alive, 1 dead`: the known states in their order, then others by name, without zeros.
  private static func counts(_ counts: [String: Int], order: [String]) -> String {
    let others = counts.keys.filter { !order.contains($0) }.sorted()
    return (order + others).compactMap { state in
      counts[state].flatMap { $0 == 0 ? nil : "\($0) \(state)" }
    }.joined(separator: ", ")
  }
}
