/// The tables of the local network.
enum LocalText {
  static func render(_ result: LocalResult) -> String {
    """
    A head and \(result.nodes) nodes on this machine, each a process:

    \(Figures.table(["what", "median ms", "slowest ms", "times"], times(result)))

    After it, over \(Int(result.idleSeconds)) s of doing nothing:

    \(Figures.table(["process", "RSS MiB", "PSS MiB", "threads", "CPU % of a core"], idle(result)))
    """
  }

  private static func times(_ result: LocalResult) -> [[String]] {
    [
      ("`iorun up`, until all nodes are ready", result.readyMilliseconds),
      ("`iorun up`, the whole command", result.upMilliseconds),
      ("`iorun submit -- true`, until the job has ended", result.submitMilliseconds),
      ("`iorun down`", result.downMilliseconds),
    ].map { name, times in
      [
        name, Figures.whole(times.median), Figures.whole(times.max() ?? 0), "\(times.count)",
      ]
    }
  }

  private static func idle(_ result: LocalResult) -> [[String]] {
    [("head", result.idleHead), ("node", result.idleNode)].compactMap { name, idle in
      idle.map {
        [
          name, mebibytes($0.residentBytes), mebibytes($0.proportionalBytes), "\($0.threads)",
          Figures.fixed($0.cpuPercent, 2),
        ]
      }
    }
  }

  private static func mebibytes(_ bytes: UInt64) -> String {
    Figures.fixed(Double(bytes) / 1_048_576, 1)
  }
}
