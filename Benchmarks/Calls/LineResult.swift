/// What all rounds gave for one line.
struct LineResult: Encodable {
  let line: Line
  var samples: [Contender: [Sample]] = [:]

  init(line: Line) { self.line = line }

  /// A contender's rate over libzmq's: the median over the rounds, each of which had its own machine
  /// weather. `nil` where it was not measured.
  func ratio(_ contender: Contender) -> Double? {
    guard let ours = samples[contender], let floor = samples[.libzmq] else { return nil }
    return zip(ours, floor).map { $0.callsPerSecond / $1.callsPerSecond }.median
  }

  func summary(_ contender: Contender) -> Summary? { samples[contender].map(Summary.init) }

  private enum CodingKeys: String, CodingKey {
    case carrier, isEncrypted, outstandingCalls, messageBytes, iorun, session, libzmq, ratio
    case sessionRatio
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(line.carrier, forKey: .carrier)
    try container.encode(line.isEncrypted, forKey: .isEncrypted)
    try container.encode(line.outstanding, forKey: .outstandingCalls)
    try container.encode(line.messageBytes, forKey: .messageBytes)
    try container.encodeIfPresent(summary(.iorun), forKey: .iorun)
    try container.encodeIfPresent(summary(.session), forKey: .session)
    try container.encodeIfPresent(summary(.libzmq), forKey: .libzmq)
    try container.encodeIfPresent(ratio(.iorun), forKey: .ratio)
    try container.encodeIfPresent(ratio(.session), forKey: .sessionRatio)
  }

  /// The medians of one contender's rounds.
  struct Summary: Encodable {
    var callsPerSecond: Double
    var slowestRoundCallsPerSecond: Double
    var fastestRoundCallsPerSecond: Double
    var callerCpuMicrosecondsPerCall: Double
    var serverCpuMicrosecondsPerCall: Double
    var p50Microseconds: Double?
    var p99Microseconds: Double?

    init(_ samples: [Sample]) {
      let rates = samples.map(\.callsPerSecond)
      callsPerSecond = rates.median
      slowestRoundCallsPerSecond = rates.min() ?? 0
      fastestRoundCallsPerSecond = rates.max() ?? 0
      callerCpuMicrosecondsPerCall = samples.map(\.callerCPUMicrosecondsPerCall).median
      serverCpuMicrosecondsPerCall = samples.map(\.serverCPUMicrosecondsPerCall).median
      let middle = samples.compactMap(\.p50Microseconds)
      let tail = samples.compactMap(\.p99Microseconds)
      p50Microseconds = middle.isEmpty ? nil : middle.median
      p99Microseconds = tail.isEmpty ? nil : tail.median
    }
  }
}
