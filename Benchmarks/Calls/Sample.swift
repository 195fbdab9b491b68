/// What one measurement of one contender gave; one JSON line from the calling process.
struct Sample: Codable {
  var calls: Int
  var elapsedSeconds: Double
  /// Of both processes together.
  var callerCPUSeconds: Double
  var serverCPUSeconds: Double
  /// Of single calls; only with one outstanding.
  var p50Microseconds: Double?
  var p99Microseconds: Double?

  var callsPerSecond: Double { Double(calls) / elapsedSeconds }
  var callerCPUMicrosecondsPerCall: Double { callerCPUSeconds * 1e6 / Double(max(1, calls)) }
  var serverCPUMicrosecondsPerCall: Double { serverCPUSeconds * 1e6 / Double(max(1, calls)) }
}
