internal import ArgumentParser
internal import IorunCore
internal import IorunLocal
internal import IorunWorker

/// What a node offers, for `up` and `join`.
struct OfferOptions: ParsableArguments {
  @Option(help: "Cores that each node offers; may be more than there are (default: all).")
  var cpus: Double?

  @Option(help: "GPUs that each node offers to tasks and actors (default: those that it has).")
  var gpus: Int?

  @Option(help: "Custom resources of each node: a JSON object such as '{\"tpu\": 4}'.")
  var resources: String?

  @Option(help: "Labels of each node: a JSON object such as '{\"region\": \"eu\"}'.")
  var labels: String?

  @Option(
    name: .customLong("object-store-memory"),
    help: "Bytes of shared memory for objects (default: a share of what is free).")
  var objectStoreMemory: Int64?

  @Option(help: "Serve metrics to Prometheus on HOST:PORT; further nodes take the next ports.")
  var metrics: String?

  func validate() throws {
    if let cpus, !(0...4096).contains(cpus) {
      throw ValidationError("--cpus takes a number from 0 to 4096")
    }
  }

  var milliCPUs: Int? { cpus.map { Int(($0 * 1000).rounded()) } }

  func offer() throws -> RuntimeOffer {
    try RuntimeOffer(
      gpus: gpus, resourcesJSON: resources, labelsJSON: labels,
      objectStoreMemory: objectStoreMemory)
  }
}

/// `--owner-pid`: whose end ends the process.
struct OwnerOptions: ParsableArguments {
  @Option(
    name: .customLong("owner-pid"),
    help: "End when this process is gone, as a program that needs a network of its own wants.")
  var ownerPID: Int32?

  func watch() throws -> OwnerWatch? { try ownerPID.map(OwnerWatch.init) }
}
