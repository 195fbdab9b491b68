import IorunScheduler

/// A GPU cluster and the tasks that arrive there, in the format of Alibaba's trace GPU v2023.
struct OpenBTrace {
  var nodes: [PackingCluster.Node]
  var tasks: [PackingShape]
  var arrivals: [Int]

  var gpuMilli: Int64 { nodes.reduce(0) { $0 + 1000 * Int64($1.gpuCount) } }

  /// Where the arrivals are from.
  enum Arrivals {
    /// A file with a row number of the tasks a line.
    case file(String)
    /// Drawn as FGD's artefact draws them: every task once in any order, then tasks at random until
    /// they ask for 130 % of all GPUs.
    case drawn(seed: UInt64)
  }

  init(nodes nodeFile: String, pods: String, arrivals source: Arrivals, nodeOrder: String?) throws {
    let table = try CSVTable(nodeFile)
    let names = try table.texts("sn")
    let models = try table.texts("model", missing: "").map(String.init)
    let catalogue = Array(Set(models)).sorted()
    guard catalogue.count <= 64 else { throw InputError(nodeFile, "has over 64 GPU models") }
    let cpu = try table.integers("cpu_milli")
    let memory = try table.integers("memory_mib")
    let gpus = try table.integers("gpu", missing: 0)
    let rank = try nodeOrder.map(Self.ranks) ?? [:]
    let sorted = names.indices.sorted { left, right in
      (rank[names[left]] ?? .max, left) < (rank[names[right]] ?? .max, right)
    }
    nodes = try sorted.map { row in
      guard let cpu = Int32(exactly: cpu[row]), let memory = Int32(exactly: memory[row]), cpu >= 0,
        memory >= 0, (0...PackingShape.gpusPerNode).contains(gpus[row]),
        let model = catalogue.firstIndex(of: models[row])
      else {
        throw InputError(nodeFile, line: table.line(row), "no node has such amounts")
      }
      return PackingCluster.Node(
        cpuMilli: cpu, memoryMiB: memory, gpuCount: UInt8(gpus[row]), hardwareClass: UInt8(model))
    }
    let tasks = try Self.tasks(pods, catalogue: catalogue)
    self.tasks = tasks
    switch source {
    case .drawn(let seed):
      arrivals = Self.draw(
        tasks, gpuMilli: nodes.reduce(0) { $0 + 1000 * Int64($1.gpuCount) }, seed)
    case .file(let order):
      arrivals = try readLines(order).map { line, text in
        guard let index = Int(text.trimmed), tasks.indices.contains(index) else {
          throw InputError(
            order, line: line, "'\(text)' is no row of \(pods), which has 0 to \(tasks.count - 1)")
        }
        return index
      }
    }
  }

  private static func draw(_ tasks: [PackingShape], gpuMilli: Int64, _ seed: UInt64) -> [Int] {
    var random = SplitMix64(seed: seed)
    var arrivals = tasks.indices.shuffled(using: &random)
    let most = gpuMilli * 13 / 10
    var asked = tasks.reduce(0) { $0 + Int64($1.gpuMilliTotal) }
    guard asked > 0 else { return arrivals }
    while asked < most, let index = tasks.indices.randomElement(using: &random) {
      asked += Int64(tasks[index].gpuMilliTotal)
      // The one that would go over the mark is the first that is left out.
      if asked <= most { arrivals.append(index) }
    }
    return arrivals
  }

  private static func ranks(_ path: String) throws -> [Substring: Int] {
    var ranks: [Substring: Int] = [:]
    for (index, (line, text)) in try readLines(path).enumerated() {
      let fields = text.split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed)
      guard fields.count >= 2, let rank = Int(fields[1]) else {
        // A header says what the columns are.
        if index == 0 { continue }
        throw InputError(path, line: line, "not NODE,NUMBER")
      }
      ranks[fields[0]] = rank
    }
    return ranks
  }

  private static func tasks(_ path: String, catalogue: [String]) throws -> [PackingShape] {
    let table = try CSVTable(path)
    let cpu = try table.integers("cpu_milli")
    let memory = try table.integers("memory_mib", missing: 0)
    let count = try table.integers("num_gpu", missing: 0)
    // An empty field, and the column that is not there, stand for whole GPUs.
    let whole = Int(PackingShape.wholeGPU)
    let milli = try table.integers("gpu_milli", missing: whole)
    let models = try table.texts("gpu_spec", missing: "")
    return try table.rows.indices.map { row in
      let named = models[row].split(separator: "|").compactMap { model in
        catalogue.firstIndex(of: String(model))
      }
      let shape = PackingShape(
        cpuMilli: cpu[row], memoryMiB: memory[row], gpuCount: count[row],
        gpuMilli: count[row] == 0 ? 0 : milli[row],
        classes: models[row].isEmpty ? .all : ClassSet(named))
      guard let shape else {
        throw InputError(path, line: table.line(row), "no task asks for such amounts")
      }
      return shape
    }
  }
}
