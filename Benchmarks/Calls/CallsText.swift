/// The tables of the call measurements.
enum CallsText {
  static func render(_ results: [LineResult]) -> String {
    let single = results.filter { $0.line.outstanding == 1 }
    let many = results.filter { $0.line.outstanding > 1 }
    return """
      Calls: `add(Int, Int) -> Int` of a distributed actor, between two processes, beside 100 bytes \
      there and back through plain libzmq. Medians of \(results.first?.iorun.count ?? 0) \
      alternating rounds; the range of the rounds in brackets.

      One call at a time:

      \(table(single, withLatency: true))

      \(Figures.whole(Double(many.first?.line.outstanding ?? 0))) calls under way:

      \(table(many, withLatency: false))
      """
  }

  private static func table(_ results: [LineResult], withLatency: Bool) -> String {
    let latency =
      withLatency ? ["iorun p50 / p99 µs", "libzmq p50 / p99 µs"] : []
    return Figures.table(
      ["line", "iorun calls/s", "libzmq calls/s", "ratio"] + latency
        + ["iorun CPU µs (caller + server)", "libzmq CPU µs"],
      results.map { result in
        let (ours, floor) = (LineResult.Summary(result.iorun), LineResult.Summary(result.libzmq))
        return [
          result.line.name, rate(ours), rate(floor), Figures.fixed(result.ratio, 2),
        ] + (withLatency ? [self.latency(ours), self.latency(floor)] : [])
          + [processor(ours), processor(floor)]
      })
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
