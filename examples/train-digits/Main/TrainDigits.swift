internal import DigitsTraining
internal import Foundation
internal import IorunJob

/// Trains a network on handwritten digits as one rank of a gang, or alone when it is started by
/// hand. Reads `digits.csv`; rank 0 leaves `model.bin` and `metrics.json`.
@main
struct TrainDigits {
  private static let modelPath = "model.bin"
  private static let metricsPath = "metrics.json"

  static func main() async {
    do {
      try await run(settings: Arguments.read(CommandLine.arguments.dropFirst()))
    } catch {
      FileHandle.standardError.write(Data("train-digits: \(error)\n".utf8))
      exit(1)
    }
  }

  private static func run(settings: TrainingSettings) async throws {
    let data = try DigitsData.load(path: "digits.csv")
    // What an earlier training left must not pass for the result of this one.
    for path in [modelPath, metricsPath] { try? FileManager.default.removeItem(atPath: path) }
    guard JobContext.isAvailable else {
      try await train(settings, on: data, rank: 0, worldSize: 1, exchange: LocalExchange())
      return
    }
    let context = try await JobContext.join()
    try await train(
      settings, on: data, rank: context.gang.rank, worldSize: context.gang.worldSize,
      exchange: GangExchange(gang: context.gang))
    try await context.leave()
  }

  /// Trains this rank's part; rank 0 speaks for all and keeps what they made.
  private static func train(
    _ settings: TrainingSettings, on data: DigitsData, rank: Int, worldSize: Int,
    exchange: some GradientExchange
  ) async throws {
    let started = ContinuousClock.now
    let training = try Training(settings: settings, rank: rank, worldSize: worldSize)
    let result = try await training.run(on: data, exchange: exchange) { epoch in
      if rank == 0 { say(epoch.line(of: settings.epochs)) }
    }
    guard rank == 0 else { return }
    try ModelFile.write(result.network, to: modelPath)
    try MetricsFile(worldSize: worldSize, result: result).write(to: metricsPath)
    let seconds = (ContinuousClock.now - started) / .seconds(1)
    let ranks = worldSize == 1 ? "1 rank" : "\(worldSize) ranks, which agree on all parameters,"
    say("trained by \(ranks) in \(String(format: "%.1f", seconds)) s: \(modelPath), \(metricsPath)")
  }

  /// Prints a line at once: `print` keeps lines back when its output is not a terminal.
  private static func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
  }
}
