internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore

/// The parts of a job spec that a flag can set. A flag wins over the spec.
struct JobFlags: ParsableArguments {
  @Option(help: "How many ranks run together.")
  var ranks: Int?

  @Option(help: "Cores for each rank, such as 2 or 0.5.")
  var cpus: Double?

  @Option(help: "GPUs for each rank.")
  var gpus: Int?

  @Option(name: .customLong("gpu-model"), help: "A part of the GPU's name, such as 4090.")
  var gpuModel: String?

  @Option(
    help: ArgumentHelp(
      "How ranks lie to each other: PACK, SPREAD, STRICT_PACK, STRICT_SPREAD, SITE (round trips as "
        + "short as possible) or SITE(20ms) (none longer).", valueName: "strategy"))
  var placement: String?

  @Option(help: "Memory for each rank, such as 4GiB.")
  var memory: String?

  @Option(help: "Disk for each rank, such as 10GiB.")
  var disk: String?

  @Option(help: "The job's name.")
  var name: String?

  @Option(
    name: .customLong("env"), help: "NAME=VALUE for every rank's environment; may be repeated.")
  var environment: [String] = []

  @Option(
    name: .customLong("output"),
    help: "A path below the working folder to keep, * allowed; may be repeated.")
  var outputs: [String] = []

  @Option(help: "Stop the job after this time, such as 10m.")
  var timeout: String?

  @Option(help: "How often to start again after a failure.")
  var retries: Int?

  @Option(
    help: "Who is placed first, from 0 to 10 (5 unless said); a day of waiting weighs a quarter.")
  var priority: Int?

  @Option(
    help: "Ranks whose node has not heard the head for so long stop, 3s to 30s: for soon retries.")
  var fence: String?

  @Option(
    help: "Which network the ranks see: gang (their own, encrypted) or host (the node's).",
    completion: .list(JobSpec.Network.allCases.map(\.rawValue)))
  var network: String?

  @Option(
    name: .customLong("working-dir"), help: "The folder whose files the ranks find.",
    completion: .directory)
  var workingDirectory: String?

  /// The spec with what the flags say.
  ///
  /// - Throws: `specInvalid`, naming the flag.
  func applied(to spec: JobSpec) throws -> JobSpec {
    var spec = spec
    if let ranks { spec.gang.ranks = try checked("--ranks", ranks, JobLimits.ranks) }
    if let cpus {
      guard JobLimits.cpus.contains(cpus) else {
        throw invalid("--cpus", "\(cpus)", "a number from 0.001 to 4096")
      }
      spec.gang.resources.milliCPUs = Int(cpus * 1000)
    }
    if let gpus { spec.gang.resources.gpus = try checked("--gpus", gpus, JobLimits.gpus) }
    if let gpuModel { spec.gang.gpuModel = gpuModel }
    if let placement {
      guard let strategy = GangStrategy(placement) else {
        throw invalid(
          "--placement", placement,
          "PACK, SPREAD, STRICT_PACK, STRICT_SPREAD, SITE or SITE(20ms)")
      }
      spec.gang.placement = strategy
    }
    if let memory { spec.gang.resources.memory = try bytes("--memory", memory) }
    if let disk { spec.gang.resources.disk = try bytes("--disk", disk) }
    if let name { spec.name = name }
    for variable in environment {
      guard let equals = variable.firstIndex(of: "="), equals != variable.startIndex else {
        throw invalid("--env", variable, "NAME=VALUE")
      }
      spec.environment[String(variable[..<equals])] =
        String(variable[variable.index(after: equals)...])
    }
    try ReservedEnvironment.check(spec.environment)
    spec.outputs += outputs
    if let timeout {
      guard let seconds = TimeSpan.seconds(timeout) else {
        throw IorunError(
          .specInvalid, "--timeout: '\(timeout)' is no time", remedy: TimeSpan.allowed)
      }
      spec.timeoutSeconds = seconds
    }
    if let retries { spec.retries = try checked("--retries", retries, JobLimits.retries) }
    if let priority {
      spec.priority = try checked("--priority", priority, JobLimits.priorities)
    }
    if let fence {
      guard let seconds = TimeSpan.seconds(fence), JobLimits.fenceSeconds.contains(seconds) else {
        throw invalid("--fence", fence, "a time from 3s to 30s")
      }
      spec.fenceSeconds = seconds
    }
    if let network {
      guard let known = JobSpec.Network(rawValue: network) else {
        throw invalid("--network", network, "gang or host")
      }
      spec.network = known
    }
    return spec
  }

  private func checked(_ flag: String, _ value: Int, _ range: ClosedRange<Int>) throws -> Int {
    guard range.contains(value) else {
      throw invalid(flag, "\(value)", "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  private func bytes(_ flag: String, _ text: String) throws -> Bytes {
    guard let bytes = Bytes(text) else {
      throw invalid(flag, text, "an amount such as 512MiB or 4GiB")
    }
    return bytes
  }

  private func invalid(_ flag: String, _ value: String, _ allowed: String) -> IorunError {
    IorunError(.specInvalid, "\(flag): '\(value)' is not allowed", remedy: "Give \(allowed)")
  }
}
