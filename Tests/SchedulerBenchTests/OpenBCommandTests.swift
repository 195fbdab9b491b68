import Testing

@Suite("SchedulerBench openb reads any trace of its format")
struct OpenBCommandTests {
  /// Two nodes with ten GPUs and one without; tasks that take 1, 0.46, none and 8 of them.
  private static let nodes = """
    sn,cpu_milli,memory_mib,gpu,model
    n1,64000,262144,2,A10
    n2,96000,393216,8,T4
    n3,32000,1000,0,

    """
  private static let pods = """
    name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec
    p0,4000,1024,1,1000,
    p1,6000,2048,1,460,A10
    p2,1000,10,0,0,
    p3,8000,100,8,1000,T4

    """

  private func run(
    nodes: String = Self.nodes, pods: String = Self.pods, order: String, nodeOrder: String = ""
  ) throws -> BenchFiles.Outcome {
    let files = try BenchFiles()
    try files.write(nodes, "nodes.csv")
    try files.write(pods, "pods.csv")
    try files.write(order, "order.txt")
    try files.write(nodeOrder, "node-order.csv")
    return try files.run(
      "openb", "--nodes", "nodes.csv", "--pods", "pods.csv", "--order", "order.txt",
      "--node-order", "node-order.csv", "--json")
  }

  @Test("The plain format: eight, one and 0.46 of ten GPUs are given out")
  func plain() throws {
    let outcome = try run(order: "3\n0\n1\n2\n3\n", nodeOrder: "n1,1\nn2,2\nn3,3\n")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.values["allocation_percent"] == 94.6)
    #expect(outcome.values["arrivals"] == 5)
    #expect(outcome.values["refused"] == 1)
    for key in ["fragment_ratio", "decisions_per_second", "p50_us", "p99_us"] {
      #expect(outcome.values[key] != nil, "\(key) in \(outcome.output)")
    }
  }

  @Test("Windows line ends, a byte order mark, quotes, empty lines, other columns and order")
  func variations() throws {
    let nodes =
      "\u{FEFF}Model, SN ,gpu,rack,CPU_milli,memory_mib\r\nA10,n1,2,r7,64000.0,262144\r\n"
      + "\"T4\",\"n2\",8,,96000,393216\r\n\r\n,n3,0,,32000,1000\r\n"
    // The task without GPUs leaves its last fields out.
    let pods =
      "gpu_milli,num_gpu,name,cpu_milli,memory_mib,gpu_spec\r\n1000,1,p0,4000,1024,\r\n"
      + "460,1,p1,6000,2048,A10|V100\r\n,0,p2,1000,10\r\n,8,p3,8000,100,T4\r\n"
    let outcome = try run(
      nodes: nodes, pods: pods, order: "3\r\n0\r\n\r\n 1\r\n2\r\n3",
      nodeOrder: "sn,number\r\nn2,1\r\nn1,2\r\n")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.values["allocation_percent"] == 94.6)
    #expect(outcome.values["refused"] == 1)
  }

  @Test("No arrivals are no error")
  func empty() throws {
    let outcome = try run(order: "\n")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.values["allocation_percent"] == 0)
  }

  @Test(
    "What cannot be meant is refused with its file and line",
    arguments: [
      ("sn,cpu_milli,memory_mib,gpu\n\nn1,-5,10,1\n", pods, "0", "nodes.csv, line 3"),
      ("sn,cpu_milli,memory_mib,gpu\nn1,nan,10,1\n", pods, "0", "nodes.csv, line 2"),
      ("sn,cpu_milli,memory_mib,gpu\nn1,5,10,99\n", pods, "0", "nodes.csv, line 2"),
      ("sn,memory_mib,gpu\nn1,10,1\n", pods, "0", "no column 'cpu_milli'"),
      ("", pods, "0", "nodes.csv, line 1: is empty"),
      (nodes, "cpu_milli,num_gpu,gpu_milli\n1,1,-3\n", "0", "pods.csv, line 2"),
      (nodes, "cpu_milli,num_gpu,gpu_milli\n1,x,3\n", "0", "pods.csv, line 2"),
      (nodes, pods, "0\n4\n", "order.txt, line 2"),
      (nodes, pods, "0\n-1\n", "order.txt, line 2"),
      (nodes, pods, "p0\n", "order.txt, line 1"),
    ])
  func refused(nodes: String, pods: String, order: String, words: String) throws {
    let outcome = try run(nodes: nodes, pods: pods, order: order)
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
  }

  @Test("A file that is not there is named")
  func missing() throws {
    let files = try BenchFiles()
    let outcome = try files.run("openb", "--nodes", "a", "--pods", "b", "--order", "c", "--json")
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains("cannot be read"))
  }

  @Test(
    "Arrivals are drawn where no order is given: each task once, then more to 130 % of the GPUs")
  func drawn() throws {
    let files = try BenchFiles()
    try files.write(Self.nodes, "nodes.csv")
    try files.write(Self.pods, "pods.csv")
    func run(_ seed: String) throws -> BenchFiles.Outcome {
      try files.run(
        "openb", "--nodes", "nodes.csv", "--pods", "pods.csv", "--seed", seed, "--json")
    }
    let outcome = try run("3")
    #expect(outcome.status == 0, "\(outcome)")
    // 9.46 GPUs are asked for once, and at most 13: never less than one more task fits under that.
    #expect((4...40).contains(outcome.values["arrivals"] ?? 0), "\(outcome)")
    #expect(try run("3").values["allocation_percent"] == outcome.values["allocation_percent"])
  }

  @Test("The table has FGD on the same arrivals beside it")
  func beside() throws {
    let files = try BenchFiles()
    try files.write(Self.nodes, "nodes.csv")
    try files.write(Self.pods, "pods.csv")
    try files.write("3\n0\n", "order.txt")
    let outcome = try files.run(
      "openb", "--nodes", "nodes.csv", "--pods", "pods.csv", "--order", "order.txt")
    #expect(outcome.output.contains("FGD on these arrivals: 90.00"), "\(outcome)")
  }
}
