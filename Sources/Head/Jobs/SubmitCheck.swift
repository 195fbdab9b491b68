internal import IorunContent
internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// Refuses a submit that no honest client sends, before anything is kept: every list, text and
/// number has a bound. The client makes the same checks with better places in its messages.
enum SubmitCheck {
  private static let mostVariables = 1024
  private static let environmentSize = 64 * 1024
  private static let commandSize = 64 * 1024
  private static let mostOutputs = 256
  private static let longestPattern = 1024
  /// In bytes of UTF-8: a character that people see may have any number.
  private static let longestName = 4 * JobLimits.nameLength
  private static let longestTimeout = 10.0 * 365 * 86_400

  /// Throws `specInvalid`, naming what is wrong.
  static func check(_ request: SubmitRequest) throws {
    guard (1...64).contains(request.submissionID.count), request.submissionID.utf8.count <= 256
    else { throw refusal("the submission id must have 1 to 64 characters") }
    try check(request.spec)
    if let folder = request.workingFolder { try folder.check(maximum: ContentLimits.manifestSize) }
  }

  /// Throws `specInvalid`, naming what is wrong.
  static func check(_ spec: JobSpec) throws {
    guard (1...JobLimits.nameLength).contains(spec.name.count),
      spec.name.utf8.count <= Self.longestName, isPrintable(spec.name)
    else {
      throw refusal(
        "name must have 1 to \(JobLimits.nameLength) characters, on one line and without control "
          + "characters")
    }
    try check(spec.gang)
    guard JobLimits.retries.contains(spec.retries) else {
      throw refusal(
        "retries must be \(JobLimits.retries.lowerBound) to \(JobLimits.retries.upperBound)")
    }
    if let priority = spec.priority, !JobLimits.priorities.contains(priority) {
      throw refusal(
        "priority must be \(JobLimits.priorities.lowerBound) to \(JobLimits.priorities.upperBound)")
    }
    if let timeout = spec.timeoutSeconds {
      guard timeout.isFinite, timeout > 0, timeout <= longestTimeout else {
        throw refusal("timeout must be more than 0 s and at most 10 years")
      }
    }
    if let startBy = spec.startBySeconds {
      guard startBy.isFinite, startBy > 0, startBy <= longestTimeout else {
        throw refusal("start_by must be more than 0 s and at most 10 years")
      }
    }
    if let fence = spec.fenceSeconds, !JobLimits.fenceSeconds.contains(fence) {
      let (least, most) = (JobLimits.fenceSeconds.lowerBound, JobLimits.fenceSeconds.upperBound)
      throw refusal("fence must be \(Int(least)) to \(Int(most)) s")
    }
    if spec.network == .nothing, spec.gang.ranks > 1 {
      throw refusal(
        "network: none is for a single rank: \(spec.gang.ranks) could not reach each other",
        remedy: "Use network: gang, in which ranks reach each other and nothing else")
    }
    if let image = spec.image { _ = try ImageReference(image) }
    let words: [String]
    switch spec.entrypoint {
    case .command(let command): words = command
    case .swift(let target, let arguments): words = [target] + arguments
    }
    guard words.first?.isEmpty == false, !words.contains(where: { $0.utf8.contains(0) }) else {
      throw refusal(
        "the command is empty or has a zero byte",
        remedy: "Say what to run, such as `iorun submit -- python3 train.py`")
    }
    guard words.reduce(0, { $0 + $1.utf8.count + 1 }) <= commandSize else {
      throw refusal("the command is longer than \(commandSize / 1024) KiB")
    }
    let size = spec.environment.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 2 }
    guard spec.environment.count <= mostVariables, size <= environmentSize else {
      throw refusal(
        "env has more than \(mostVariables) variables or \(environmentSize / 1024) KiB",
        remedy: "Put large values into a file of the working folder")
    }
    try ReservedEnvironment.check(spec.environment)
    guard spec.outputs.count <= mostOutputs,
      spec.outputs.allSatisfy({ (1...longestPattern).contains($0.utf8.count) && isPrintable($0) })
    else { throw refusal("outputs has more than \(mostOutputs) patterns, or one that is too long") }
  }

  private static func check(_ gang: JobSpec.Gang) throws {
    guard JobLimits.ranks.contains(gang.ranks) else {
      throw refusal(
        "ranks must be \(JobLimits.ranks.lowerBound) to \(JobLimits.ranks.upperBound), not \(gang.ranks)"
      )
    }
    let resources = gang.resources
    guard (0...100_000_000).contains(resources.milliCPUs), JobLimits.gpus.contains(resources.gpus),
      resources.memory <= .gibi(1 << 20), resources.disk <= .gibi(1 << 20)
    else { throw refusal("the resources of a rank are out of bounds: \(resources)") }
    if case .site(let limit?) = gang.placement, !GangStrategy.roundTrips.contains(limit) {
      throw refusal("SITE takes a round trip of 0.01 to 10,000 ms, not \(limit)")
    }
    guard (gang.gpuModel?.utf8.count ?? 0) <= longestName else {
      throw refusal("gpu_model has more than \(JobLimits.nameLength) characters")
    }
    if let terms = gang.terms { try check(terms, ranks: gang.ranks) }
  }

  private static func check(_ terms: PlacementTerms, ranks: Int) throws {
    let fallbacks = terms.fallbacks ?? []
    guard fallbacks.count <= JobLimits.fallbackLimit else {
      throw refusal("placement has more than \(JobLimits.fallbackLimit + 1) strategies")
    }
    for case .site(let limit?) in fallbacks where !GangStrategy.roundTrips.contains(limit) {
      throw refusal("SITE takes a round trip of 0.01 to 10,000 ms, not \(limit)")
    }
    let labels = terms.labels ?? [:]
    guard labels.count <= JobLimits.labelLimit,
      labels.allSatisfy({ max($0.key.utf8.count, $0.value.utf8.count) <= longestPattern })
    else { throw refusal("labels has more than \(JobLimits.labelLimit) keys, or a text too long") }
    _ = try LabelSelector(labels)
    for limit in [terms.mostRanksPerSupplier, terms.mostRanksPerRegion].compactMap(\.self)
    where !JobLimits.ranks.contains(limit) {
      throw refusal("spread_over takes 1 to \(JobLimits.ranks.upperBound) ranks, not \(limit)")
    }
    if let price = terms.mostMicrodollarsPerHour,
      !(0...NodeClaims.mostMicrodollarsPerHour).contains(price)
    {
      throw refusal("max_price must be 0 to 1,000 dollars an hour")
    }
    guard JobLimits.spares.contains(terms.spares ?? 0) else {
      throw refusal("spares must be 0 to \(JobLimits.spares.upperBound)")
    }
    if let least = terms.leastRanks {
      guard terms.onLoss == .shrink, (1...ranks).contains(least) else {
        throw refusal("min_ranks goes with on_loss: shrink, and is 1 to the number of ranks")
      }
    }
  }

  private static func isPrintable(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }
  }

  private static func refusal(
    _ message: String, remedy: String = "Correct the spec, or the flag of that name"
  ) -> IorunError {
    IorunError(.specInvalid, message, remedy: remedy)
  }
}
