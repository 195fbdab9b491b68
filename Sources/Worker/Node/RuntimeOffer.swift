internal import Foundation
public import IorunCore

/// What a node offers to runtime jobs beyond what its machine has: what an operator says on the
/// command line. Logical amounts: nothing keeps a node of 2 cores from offering 16 CPUs.
public struct RuntimeOffer: Hashable, Codable, Sendable {
  /// Accelerators to offer; `nil` for those that the machine has.
  public var gpus: Int?
  /// Custom resources by name.
  public var resources: [String: Double]
  /// Labels beside the automatic ones.
  public var labels: [String: String]
  /// The size of the object store; `nil` for a share of the memory.
  public var objectStoreMemory: Int64?
  /// The folder below which objects are spilled; `nil` for the node's own.
  public var spillFolder: String?
  /// When workers end for want of memory; `nil` for the defaults.
  public var memoryWatch: MemoryWatch?

  /// When a node's workers end because its memory runs out.
  public struct MemoryWatch: Hashable, Codable, Sendable {
    /// The share of the memory in use, from 0 to 1.
    public var threshold: Double?
    /// Bytes that are enough to be free, whatever the share; `nil`: only the share counts.
    public var enoughFree: Int64?
    /// Milliseconds between two looks; 0: it is never looked at.
    public var milliseconds: Int?

    /// Describes it; `nil` for a default.
    public init(threshold: Double? = nil, enoughFree: Int64? = nil, milliseconds: Int? = nil) {
      self.threshold = threshold
      self.enoughFree = enoughFree
      self.milliseconds = milliseconds
    }
  }

  /// The share of the memory in use at which workers end.
  public static let defaultMemoryThreshold = 0.95
  /// The least object store that is of any use.
  public static let leastObjectStore: Int64 = 16 << 20
  /// What the node beside the head offers one of, under Ray's name: a task that asks for 0.001 of it
  /// runs there.
  public static let headNode = "node:__internal_head__"
  /// The most labels that a node has.
  public static let labelLimit = 256

  /// Describes an offer.
  public init(
    gpus: Int? = nil, resources: [String: Double] = [:], labels: [String: String] = [:],
    objectStoreMemory: Int64? = nil, spillFolder: String? = nil, memoryWatch: MemoryWatch? = nil
  ) {
    self.memoryWatch = memoryWatch
    self.spillFolder = spillFolder
    self.gpus = gpus
    self.resources = resources
    self.labels = labels
    self.objectStoreMemory = objectStoreMemory
  }

  /// Reads an offer from the texts of a command line.
  ///
  /// - Parameters:
  ///   - resources: a JSON object of names and amounts, such as `{"tpu": 4}`.
  ///   - labels: a JSON object of texts, such as `{"region": "eu"}`.
  /// - Throws: `specInvalid`, saying which option is wrong.
  public init(
    gpus: Int?, resourcesJSON resources: String?, labelsJSON labels: String?,
    objectStoreMemory: Int64?, spillFolder: String? = nil, memoryWatch: MemoryWatch? = nil
  ) throws {
    self.init(
      gpus: gpus, resources: try Self.object(resources, "--resources"),
      labels: try Self.object(labels, "--labels"), objectStoreMemory: objectStoreMemory,
      spillFolder: spillFolder, memoryWatch: memoryWatch)
    try check()
  }

  /// This offer with what is given in `other` put in its place.
  public func changed(_ other: RuntimeOffer) -> RuntimeOffer {
    RuntimeOffer(
      gpus: other.gpus ?? gpus, resources: other.resources.isEmpty ? resources : other.resources,
      labels: other.labels.isEmpty ? labels : other.labels,
      objectStoreMemory: other.objectStoreMemory ?? objectStoreMemory,
      spillFolder: other.spillFolder ?? spillFolder,
      memoryWatch: other.memoryWatch ?? memoryWatch)
  }

  /// Everything that the node offers to runtime jobs.
  ///
  /// - Parameters:
  ///   - facts: what the machine is; its cores are those that the node offers.
  ///   - objectStore: the size of the object store, in bytes; taken off the memory.
  /// - Throws: `specInvalid` for amounts that cannot be.
  public func total(_ facts: NodeFacts, objectStore: Int64) throws -> ResourceAmounts {
    let memory = Double(facts.memory.rawValue)
    var amounts = resources
    amounts[ResourceAmounts.cpu] = Double(facts.milliCPUs) / 1000
    amounts[ResourceAmounts.gpu] = Double(gpus ?? facts.gpus.count)
    amounts[ResourceAmounts.memory] = max(memory / 2, memory - Double(objectStore)).rounded()
    amounts[ResourceAmounts.objectStoreMemory] = Double(objectStore)
    // As Ray has it: a way to ask for one node by its address.
    amounts["node:\(facts.address)"] = 1
    // And for one of a kind: the tasks that ask for it take 0.001 each.
    if let type = acceleratorType(facts), amounts["accelerator_type:\(type)"] == nil {
      amounts["accelerator_type:\(type)"] = 1
    }
    return try ResourceAmounts(amounts: amounts)
  }

  /// All labels of the node, the automatic ones (also under Ray's names) among them.
  public func labels(_ node: NodeID, _ facts: NodeFacts) -> [String: String] {
    var all = labels
    for prefix in ["iorun.io", "ray.io"] {
      all["\(prefix)/node-id"] = node.description
    }
    // Jobs ask for a model by its maker's name, tasks and actors by Ray's.
    if let gpu = facts.gpus.first { all["iorun.io/accelerator-type"] = gpu.model }
    if let type = acceleratorType(facts) { all["ray.io/accelerator-type"] = type }
    all["iorun.io/node-name"] = facts.name
    all["iorun.io/hostname"] = facts.hostname
    return all
  }

  /// The short name of the GPUs that the node offers; `nil` where it offers none that are there.
  private func acceleratorType(_ facts: NodeFacts) -> String? {
    guard gpus != 0, let gpu = facts.gpus.first else { return nil }
    return AcceleratorType.name(model: gpu.model)
  }

  private func check() throws {
    if let gpus, !(0...1024).contains(gpus) {
      throw Self.refusal("--gpus \(gpus)", "a number from 0 to 1024")
    }
    for name in resources.keys
    where [
      ResourceAmounts.cpu, ResourceAmounts.gpu, ResourceAmounts.memory,
      ResourceAmounts.objectStoreMemory,
    ].contains(name) {
      throw Self.refusal(
        "'\(name)' in --resources", "--cpus, --gpus and --object-store-memory for these")
    }
    _ = try ResourceAmounts(amounts: resources)
    for (key, value) in labels {
      guard (1...256).contains(key.utf8.count), value.utf8.count <= 256,
        !key.hasPrefix("ray.io/"), !key.hasPrefix("iorun.io/")
      else {
        throw Self.refusal(
          "the label '\(key.prefix(64))'",
          "1 to 256 bytes for a key, at most 256 for its value, and no key of iorun.io or ray.io")
      }
    }
    guard labels.count <= Self.labelLimit else {
      throw Self.refusal("\(labels.count) labels", "at most \(Self.labelLimit)")
    }
    if let spillFolder, !spillFolder.hasPrefix("/") {
      throw Self.refusal("--object-spilling-directory '\(spillFolder.prefix(100))'", "a whole path")
    }
    if let threshold = memoryWatch?.threshold, !(0...1).contains(threshold) {
      throw Self.refusal("--memory-usage-threshold \(threshold)", "a share from 0 to 1")
    }
    if let milliseconds = memoryWatch?.milliseconds, !(0...3_600_000).contains(milliseconds) {
      throw Self.refusal(
        "--memory-monitor-refresh-ms \(milliseconds)", "a number from 0, for never, to 3600000")
    }
    if let objectStoreMemory, objectStoreMemory < Self.leastObjectStore {
      throw Self.refusal(
        "--object-store-memory \(objectStoreMemory)",
        "at least \(Self.leastObjectStore) bytes (16 MiB)")
    }
  }

  private static func object<Value: Decodable>(_ text: String?, _ option: String) throws
    -> [String: Value]
  {
    guard let text else { return [:] }
    do {
      return try JSONDecoder().decode([String: Value].self, from: Data(text.utf8))
    } catch {
      let form = Value.self == Double.self ? "{\"name\": 1}" : "{\"name\": \"text\"}"
      throw refusal("\(option) '\(text.prefix(100))'", "a JSON object such as \(form)")
    }
  }

  private static func refusal(_ what: String, _ use: String) -> IorunError {
    IorunError(.specInvalid, "a node cannot offer \(what)", remedy: "Use \(use)")
  }
}
