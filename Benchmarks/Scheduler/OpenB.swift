import ArgumentParser
import Foundation
import IorunScheduler

/// Fills a GPU cluster with the tasks of a trace, which never leave, and says how much of it is
/// allocated when the last has come: the rule of FGD (Weng et al., USENIX ATC 2023, section 6).
struct OpenB: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "openb", abstract: "GPU allocation on a trace of arrivals.")

  @Option(help: ArgumentHelp("The nodes: sn,cpu_milli,memory_mib,gpu,model.", valueName: "CSV"))
  var nodes: String
  @Option(
    help: ArgumentHelp(
      "The tasks: cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec].", valueName: "CSV"))
  var pods: String
  @Option(
    help: ArgumentHelp(
      "The arrivals, a row number of the tasks a line. Without it they are drawn by --seed.",
      valueName: "TXT"))
  var order: String?
  @Option(help: "Seed of arrivals that are drawn: each task once, then more to 130 % of all GPUs.")
  var seed: UInt64 = 42
  @Option(help: ArgumentHelp("The nodes' order in ties: sn,number.", valueName: "CSV"))
  var nodeOrder: String?
  @Flag(help: "Fragments only, as FGD: without the term for GPUs that no CPU is left to feed.")
  var fragmentsOnly = false
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let arrivals = order.map { OpenBTrace.Arrivals.file($0) } ?? .drawn(seed: seed)
    let trace = try OpenBTrace(nodes: nodes, pods: pods, arrivals: arrivals, nodeOrder: nodeOrder)
    let outcome = Outcome(trace, countsStrandedGPU: !fragmentsOnly)
    var references = References.allocation
    if !json, !fragmentsOnly {
      // The peer in the same run, by the same code: workloads of which nothing was published, too.
      let plain = Outcome(trace, countsStrandedGPU: false)
      references["allocation_percent", default: ""] =
        "FGD on these arrivals: " + String(format: "%.2f", plain.allocationPercent)
        + "; published, mean of 10 seeds: " + (References.allocation["allocation_percent"] ?? "")
      references["fragment_ratio"] =
        "FGD on these arrivals: " + String(format: "%.4f", plain.fragmentRatio)
    }
    Report(
      [
        ("allocation_percent", outcome.allocationPercent),
        ("fragment_ratio", outcome.fragmentRatio),
        ("arrivals", Double(trace.arrivals.count)),
        ("refused", Double(outcome.refused)),
        ("decisions_per_second", outcome.timing.perSecond),
        ("p50_us", outcome.timing.microseconds(at: 0.5)),
        ("p99_us", outcome.timing.microseconds(at: 0.99)),
      ], beside: references
    ).print(asJSON: json)
  }

  /// What the arrivals came to.
  private struct Outcome {
    var timing: DecisionTimes
    var refused = 0
    /// Of all GPUs, the part that was given out.
    var allocationPercent = 0.0
    /// Of the GPUs that are left, the part that a task of the mix could not use.
    var fragmentRatio = 0.0

    init(_ trace: OpenBTrace, countsStrandedGPU: Bool) {
      let counts = Dictionary(trace.tasks.map { ($0, 1) }, uniquingKeysWith: +)
      var cluster = PackingCluster(
        nodes: trace.nodes, typical: TypicalTasks(counts), countsStrandedGPU: countsStrandedGPU)
      timing = DecisionTimes(capacity: trace.arrivals.count)
      var allocated: Int64 = 0
      for arrival in trace.arrivals {
        let shape = trace.tasks[arrival]
        if timing.measure({ cluster.place(shape) }) == nil {
          refused += 1
        } else {
          allocated += Int64(shape.gpuMilliTotal)
        }
      }
      allocationPercent = 100 * Double(allocated) / Double(max(1, trace.gpuMilli))
      let idle = cluster.idleGPU
      fragmentRatio = idle.milli > 0 ? idle.fragmentMilli / Double(idle.milli) : 0
    }
  }
}
