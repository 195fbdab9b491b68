internal import ArgumentParser

/// What all benchmarks take.
struct BenchOptions: ParsableArguments {
  @Option(help: "How often each measurement is made, alternating with its rival; medians count.")
  var rounds = 3

  @Option(help: "How long each call measurement lasts, in seconds.")
  var seconds = 2.0

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard rounds > 0 else { throw ValidationError("--rounds must be at least 1") }
    guard seconds > 0 else { throw ValidationError("--seconds must be more than 0") }
  }
}
