import ArgumentParser
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
  @Option(help: ArgumentHelp("The arrivals, a row number of the tasks a line.", valueName: "TXT"))
  var order: String
  @Option(help: ArgumentHelp("The nodes' order in ties: sn,number.", valueName: "CSV"))
  var nodeOrder: String?
  @Flag(help: "Fragments only, as FGD: without the term for GPUs that no CPU is left to feed.")
  var fragmentsOnly = false
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let trace = try OpenBTrace(nodes: nodes, pods: pods, order: order, nodeOrder: nodeOrder)
    let counts = Dictionary(trace.tasks.map { ($0, 1) }, uniquingKeysWith: +)
    var cluster = PackingCluster(
      nodes: trace.nodes, typical: TypicalTasks(counts), countsStrandedGPU: !fragmentsOnly)
    var timing = DecisionTimes(capacity: trace.arrivals.count)
    var allocated: Int64 = 0
    var refused = 0
    for arrival in trace.arrivals {
      let shape = trace.tasks[arrival]
      if timing.measure({ cluster.place(shape) }) == nil {
        refused += 1
      } else {
        allocated += Int64(shape.gpuCount) * Int64(shape.gpuMilli)
      }
    }
    let idle = cluster.idleGPU
    let report = Report([
      ("allocation_percent", 100 * Double(allocated) / Double(max(1, trace.gpuMilli))),
      ("fragment_ratio", idle.milli > 0 ? idle.fragmentMilli / Double(idle.milli) : 0),
      ("arrivals", Double(trace.arrivals.count)),
      ("refused", Double(refused)),
      ("decisions_per_second", timing.perSecond),
      ("p50_us", timing.microseconds(at: 0.5)),
      ("p99_us", timing.microseconds(at: 0.99)),
    ])
    report.print(asJSON: json)
  }
}
