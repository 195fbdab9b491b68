/// The tables of the call measurements.
enum CallsText {
  static func render(_ results: [LineResult]) -> String {
    let single = results.filter { $0.line.outstanding == 1 }
    let many = results.filter { $0.line.outstanding > 1 && !$0.line.isBulk }
    let bulk = results.filter(\.line.isBulk)
    var parts = [
      """
      Calls: `add(Int, Int) -> Int` of a distributed actor, and 100 bytes there and back through a \
      session of the mesh, between two processes, beside the same bytes through plain libzmq. \
      Medians of \(results.first?.samples[.libzmq]?.count ?? 0) alternating rounds; the range of the \
      rounds in brackets.
      """
    ]
    if !single.isEmpty { parts.append("One at a time:\n\n\(table(single, withLatency: true))") }
    if let first = many.first {
      parts.append(
        "\(Figures.whole(Double(first.line.outstanding))) under way:\n\n"
          + table(many, withLatency: false))
    }
    if !bulk.isEmpty { parts.append("Messages of 1 MiB, one way:\n\n\(bulkTable(bulk))") }
    return parts.joined(separator: "\n\n")
  }

  private static func table(_ results: [LineResult], withLatency: Bool) -> String {
    let latency = withLatency ? ["p50 / p99 µs"] : []
    return Figures.table(
      ["line", "what", "calls/s", "over libzmq"] + latency + ["CPU µs (caller + server)"],
      results.flatMap { result in
        result.line.contenders.compactMap { contender -> [String]? in
          guard let summary = result.summary(contender) else { return nil }
          return [
            result.line.name, name(contender), rate(summary),
            result.ratio(contender).map { Figures.fixed($0, 2) } ?? "",
          ] + (withLatency ? [self.latency(summary)] : []) + [processor(summary)]
        }
      })
  }

  private static func bulkTable(_ results: [LineResult]) -> String {
    Figures.table(
      ["line", "what", "GB/s", "over libzmq", "CPU µs a message (sender + receiver)"],
      results.flatMap { result in
        result.line.contenders.compactMap { contender -> [String]? in
          guard let summary = result.summary(contender) else { return nil }
          return [
            result.line.name, name(contender),
            Figures.fixed(summary.callsPerSecond * Double(result.line.messageBytes) * 1e-9, 2),
            result.ratio(contender).map { Figures.fixed($0, 2) } ?? "", processor(summary),
          ]
        }
      })
  }

  private static func name(_ contender: Contender) -> String {
    switch contender {
    case .iorun: "actor call"
    case .session: "session"
    case .libzmq: "libzmq"
    }
  }

  private static func rate(_ summary: LineResult.Summary) -> String {
    Figures.whole(summary.callsPerSecond)
      + " (\(Figures.whole(summary.slowestRoundCallsPerSecond))"
      + "–\(Figures.whole(summary.fastestRoundCallsPerSecond)))"
  }

  private static func latency(_ summary: LineResult.Summary) -> String {
    "\(Figures.whole(summary.p50Microseconds ?? 0)) / \(Figures.whole(summary.p99Microseconds ?? 0))"
  }

  private static func processor(_ summary: LineResult.Summary) -> String {
    Figures.fixed(summary.callerCpuMicrosecondsPerCall, 1) + " + "
      + Figures.fixed(summary.serverCpuMicrosecondsPerCall, 1)
  }
}
