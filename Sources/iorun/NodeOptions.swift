internal import ArgumentParser
internal import IorunCore
internal import IorunLocal
internal import IorunWorker

/// What a node offers, for `up` and `join`.
struct OfferOptions: ParsableArguments {
  @Option(help: "Cores that each node offers; may be more than there are (default: all).")
  var cpus: Double?

  @Option(
    help: "The most memory that each node offers, such as 16GiB (default: all that is free).")
  var memory: String?

  @Option(help: "GPUs that each node offers to tasks and actors (default: those that it has).")
  var gpus: Int?

  @Option(help: "Custom resources of each node: a JSON object such as '{\"tpu\": 4}'.")
  var resources: String?

  @Option(help: "Labels of each node: a JSON object such as '{\"region\": \"eu\"}'.")
  var labels: String?

  @Option(
    name: .customLong("price-per-hour"),
    help: "Dollars for an hour of one GPU, or of one core where the node has no GPU, such as 1.25.")
  var pricePerHour: Double?

  @Option(help: "The country that each node is in: a code of two letters, such as DE.")
  var country: String?

  @Option(help: "The city that each node is in.")
  var city: String?

  @Option(
    help: ArgumentHelp(
      "Where each node is, in degrees north and east, such as 50.11,8.68.",
      valueName: "latitude,longitude"))
  var at: String?

  @Option(
    name: .customLong("object-store-memory"),
    help: "Bytes of shared memory for objects (default: a share of what is free).")
  var objectStoreMemory: Int64?

  @Option(
    name: .customLong("object-spilling-directory"),
    help: "Where objects go that the store has no room for (default: below the state folder).")
  var objectSpillingDirectory: String?

  @Option(
    name: .customLong("memory-usage-threshold"),
    help: "The share of the memory in use at which workers end, from 0 to 1 (default: 0.95).")
  var memoryUsageThreshold: Double?

  @Option(
    name: .customLong("min-memory-free-bytes"),
    help: "No worker ends while so many bytes are free (default: only the share counts).")
  var minMemoryFreeBytes: Int64?

  @Option(
    name: .customLong("memory-monitor-refresh-ms"),
    help: "How often the memory is looked at; 0 for never (default: 250).")
  var memoryMonitorRefreshMilliseconds: Int?

  @Option(help: "Serve metrics to Prometheus on HOST:PORT; further nodes take the next ports.")
  var metrics: String?

  func validate() throws {
    if let cpus, !(0...4096).contains(cpus) {
      throw ValidationError("--cpus takes a number from 0 to 4096")
    }
    if let pricePerHour, !(0...1000).contains(pricePerHour) {
      throw ValidationError("--price-per-hour takes dollars from 0 to 1000")
    }
    if let objection = try claims().objection {
      throw ValidationError("a node cannot claim \(objection)")
    }
  }

  var milliCPUs: Int? { cpus.map { Int(($0 * 1000).rounded()) } }

  func mostMemory() throws -> Bytes? { try Self.bytes(memory, "--memory") }

  static func bytes(_ text: String?, _ option: String) throws -> Bytes? {
    guard let text else { return nil }
    guard let amount = Bytes(text), amount >= .mebi(256) else {
      throw IorunError(
        .specInvalid, "\(option): '\(text)' is not allowed",
        remedy: "Give an amount of 256MiB or more, such as 16GiB")
    }
    return amount
  }

  /// What the owner says of the node.
  func claims() throws -> NodeClaims {
    var claims = NodeClaims()
    claims.microdollarsPerHour = pricePerHour.map { Int(($0 * 1e6).rounded()) }
    claims.country = country?.uppercased()
    claims.city = city
    if let at {
      let parts = at.split(separator: ",", omittingEmptySubsequences: false)
        .map { Double($0.drop { $0 == " " }) }
      guard parts.count == 2, let latitude = parts[0], let longitude = parts[1] else {
        throw ValidationError("--at takes a latitude and a longitude, such as 50.11,8.68")
      }
      (claims.latitude, claims.longitude) = (latitude, longitude)
    }
    return claims
  }

  func offer() throws -> RuntimeOffer {
    try RuntimeOffer(
      gpus: gpus, resourcesJSON: resources, labelsJSON: labels,
      objectStoreMemory: objectStoreMemory, spillFolder: objectSpillingDirectory,
      memoryWatch: memoryWatch)
  }

  private var memoryWatch: RuntimeOffer.MemoryWatch? {
    let watch = RuntimeOffer.MemoryWatch(
      threshold: memoryUsageThreshold, enoughFree: minMemoryFreeBytes,
      milliseconds: memoryMonitorRefreshMilliseconds)
    return watch == RuntimeOffer.MemoryWatch() ? nil : watch
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
