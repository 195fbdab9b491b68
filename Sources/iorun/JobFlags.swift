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
        + "short as possible) or SITE(20ms) (none longer); several with commas are tried in order.",
      valueName: "strategy"))
  var placement: String?

  @Option(
    name: .customLong("label"),
    help: ArgumentHelp(
      "KEY=SELECTOR that each node's labels must match: a value, !value, in(a,b), !in(a,b), * or "
        + "!*; may be repeated.", valueName: "key=selector"))
  var labels: [String] = []

  @Option(
    name: .customLong("spread-over"),
    help: "At most one rank of each supplier, or in each region; supplier=2 for at most two.")
  var spreadOver: [String] = []

  @Option(
    name: .customLong("max-price"),
    help: "The most dollars for an hour of one GPU, or of one core where no GPU is asked for.")
  var maxPrice: Double?

  @Option(help: "Places that are held beside the gang for ranks whose node is lost.")
  var spares: Int?

  @Option(
    name: .customLong("on-loss"),
    help: "What becomes of the gang when a node is lost: \(PlacementTerms.OnLoss.words).",
    completion: .list(PlacementTerms.OnLoss.allCases.map(\.rawValue)))
  var onLoss: String?

  @Option(
    name: .customLong("start-by"), help: "Fail the job if it was not placed within this time.")
  var startBy: String?

  @Flag(
    help: "Let a more urgent job stop this one after its first hour; it is queued anew.")
  var preemptible = false

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
    help: ArgumentHelp(
      "Which network the ranks see: gang (their own, encrypted), internet (that and the public "
        + "internet), none, or host (the node's)."),
    completion: .list(JobSpec.Network.allCases.map(\.rawValue)))
  var network: String?

  @Option(
    help: ArgumentHelp(
      "The image whose files the ranks see as their root: HOST/NAME@sha256:DIGEST in a registry, or "
        + "the path of an OCI layout (a folder, or an archive of one)."))
  var image: String?

  @Option(
    help: "Which nodes will do: required (verified ones, where the network verifies) or any.",
    completion: .list(JobSpec.Verification.allCases.map(\.rawValue)))
  var verification: String?

  @Option(
    help: "Where it may run: required (in sandboxes only) or any (your own nodes as well).",
    completion: .list(JobSpec.Isolation.allCases.map(\.rawValue)))
  var isolation: String?

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
      let strategies = placement.split(separator: ",").map { text in
        GangStrategy(String(text.filter { $0 != " " }))
      }
      guard let first = strategies.first ?? nil, !strategies.contains(nil),
        strategies.count <= JobLimits.fallbackLimit + 1
      else {
        throw invalid(
          "--placement", placement,
          "PACK, SPREAD, STRICT_PACK, STRICT_SPREAD, SITE or SITE(20ms), or several with commas")
      }
      spec.gang.placement = first
      let fallbacks = strategies.dropFirst().compactMap(\.self)
      spec.gang.change { $0.fallbacks = fallbacks.isEmpty ? nil : fallbacks }
    }
    try applyTerms(to: &spec)
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
    for output in outputs {
      guard !output.isEmpty, !output.hasPrefix("/"), !output.split(separator: "/").contains("..")
      else {
        throw invalid(
          "--output", output, "a path below the working folder, such as model.bin or 'out/*.png'")
      }
    }
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
        throw invalid("--network", network, "gang, internet, none or host")
      }
      spec.network = known
    }
    if let image { spec.image = image }
    if let verification {
      guard let known = JobSpec.Verification(rawValue: verification) else {
        throw invalid("--verification", verification, "required or any")
      }
      spec.verification = known
    }
    if let isolation {
      guard let known = JobSpec.Isolation(rawValue: isolation) else {
        throw invalid("--isolation", isolation, "required or any")
      }
      spec.isolation = known
    }
    return spec
  }

  private func applyTerms(to spec: inout JobSpec) throws {
    for label in labels {
      guard let equals = label.firstIndex(of: "="), equals != label.startIndex else {
        throw invalid("--label", label, "KEY=SELECTOR, such as region=in(eu,us)")
      }
      let (key, value) = (String(label[..<equals]), String(label[label.index(after: equals)...]))
      spec.gang.change { $0.labels = ($0.labels ?? [:]).merging([key: value]) { $1 } }
    }
    for wish in spreadOver {
      let parts = wish.split(separator: "=", maxSplits: 1)
      let most = parts.count == 2 ? Int(parts[1]) : 1
      guard let most, JobLimits.ranks.contains(most), let name = parts.first,
        let change = SpreadOver(rawValue: String(name))
      else { throw invalid("--spread-over", wish, "supplier, region, or supplier=2") }
      spec.gang.change { change.set(most, in: &$0) }
    }
    if let maxPrice {
      guard (0...1000).contains(maxPrice) else {
        throw invalid("--max-price", "\(maxPrice)", "dollars from 0 to 1000")
      }
      spec.gang.change { $0.mostMicrodollarsPerHour = Int((maxPrice * 1e6).rounded()) }
    }
    if let spares {
      let places = try checked("--spares", spares, JobLimits.spares)
      spec.gang.change { $0.spares = places }
    }
    if let onLoss {
      guard let policy = PlacementTerms.OnLoss(rawValue: onLoss) else {
        throw invalid("--on-loss", onLoss, PlacementTerms.OnLoss.words)
      }
      spec.gang.change { $0.onLoss = policy }
    }
    if let startBy {
      guard let seconds = TimeSpan.seconds(startBy) else {
        throw IorunError(
          .specInvalid, "--start-by: '\(startBy)' is no time", remedy: TimeSpan.allowed)
      }
      spec.startBySeconds = seconds
    }
    if preemptible { spec.isPreemptible = true }
  }

  private func checked(_ flag: String, _ value: Int, _ range: ClosedRange<Int>) throws -> Int {
    guard range.contains(value) else {
      throw invalid(flag, "\(value)", "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  private func bytes(_ flag: String, _ text: String) throws -> Bytes {
    // Less than 1 MiB is a unit forgotten.
    guard let bytes = Bytes(text), bytes == .zero || bytes >= .mebi(1) else {
      throw invalid(flag, text, "an amount with its unit, such as 512MiB or 4GiB")
    }
    return bytes
  }

  private func invalid(_ flag: String, _ value: String, _ allowed: String) -> IorunError {
    IorunError(.specInvalid, "\(flag): '\(value)' is not allowed", remedy: "Give \(allowed)")
  }
}
