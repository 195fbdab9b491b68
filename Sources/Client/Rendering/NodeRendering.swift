public import IorunContract
internal import IorunCore

/// Nodes for people. `now` is in seconds since 1970.
public enum NodeRendering {
  /// Nodes as a table, in the order given: free of all, where that makes sense.
  public static func table(_ nodes: [NodeStatus], now: Double) -> Table {
    let table = Table(
      columns: [
        .init("NODE", mayShrink: true), .init("STATE"), .init("CPUS FREE"),
        .init("MEMORY FREE"), .init("DISK FREE"), .init("GPUS FREE", mayShrink: true),
        .init("RANKS", isRightAligned: true), .init("RTT", isRightAligned: true),
        .init("SENDS", isRightAligned: true), .init("SEEN"),
      ],
      rows: nodes.map { node in
        let capacity = node.facts.capacity
        return [
          node.facts.name,
          node.state.rawValue + mark(node),
          "\(cores(node.free.milliCPUs)) of \(cores(capacity.milliCPUs))",
          "\(node.free.memory) of \(capacity.memory)", node.free.disk.description,
          gpus(node), "\(node.leases)",
          node.roundTripMilliseconds.map { "\(tenths($0)) ms" } ?? "-",
          node.sendMegabitsPerSecond.map { "\(tenths($0)) Mb/s" } ?? "-",
          Ages.ago(node.lastSeenAt, now: now),
        ]
      })
    return withProofs(table, nodes)
  }

  /// A network that asks for no proofs has no column for them.
  private static func withProofs(_ table: Table, _ nodes: [NodeStatus]) -> Table {
    guard nodes.contains(where: { $0.mark != nil }) else { return table }
    var table = table
    table.columns.insert(.init("PROOF"), at: 2)
    for (row, node) in nodes.enumerated() {
      table.rows[row].insert(proof(node), at: 2)
    }
    return table
  }

  /// `verified`, and of a node with GPUs how many of these are.
  private static func proof(_ node: NodeStatus) -> String {
    guard let mark = node.mark else { return "-" }
    guard !node.facts.gpus.isEmpty else { return mark.status.rawValue }
    let verified = node.facts.gpus.count { node.gpuMarks?[$0.uuid]?.status == .verified }
    return "\(mark.status.rawValue), \(verified)/\(node.facts.gpus.count) GPUs"
  }

  /// A line for each node that is not alive, whose owner keeps it, or whose place is not believed: why.
  /// Empty where there is none.
  public static func reasons(_ nodes: [NodeStatus]) -> String {
    nodes.flatMap { node in
      [
        node.reason.map { "\(node.state.rawValue): \($0)" },
        node.ownerHold.map { "its owner lets it take no new work: \($0)" },
        node.placeDoubt.map { "place not believed: \($0)" },
      ].compactMap { $0 }.map { TerminalText.oneLine("\(node.facts.name): \($0)") + "\n" }
    }.joined()
  }

  private static func mark(_ node: NodeStatus) -> String {
    let marks = [node.isDrained ? "drained" : nil, node.ownerHold == nil ? nil : "held"]
      .compactMap { $0 }
    return marks.isEmpty ? "" : " (\(marks.joined(separator: ", ")))"
  }

  static func cores(_ milliCPUs: Int) -> String {
    milliCPUs % 1000 == 0 ? "\(milliCPUs / 1000)" : "\(Double(milliCPUs) / 1000)"
  }

  private static func gpus(_ node: NodeStatus) -> String {
    guard !node.facts.gpus.isEmpty else { return "-" }
    var models: [String] = []
    for gpu in node.facts.gpus where !models.contains(gpu.model) { models.append(gpu.model) }
    return "\(node.free.gpus) of \(node.facts.gpus.count) \(models.joined(separator: ", "))"
  }

  private static func tenths(_ number: Double) -> String {
    guard number.isFinite, abs(number) < 1e9 else { return "?" }
    return "\((number * 10).rounded() / 10)"
  }
}
