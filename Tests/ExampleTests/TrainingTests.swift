import Synchronization
import Testing

@testable import DigitsTraining

@Suite("data-parallel training", .timeLimit(.minutes(4)))
struct TrainingTests {
  private static func digits() throws -> DigitsData {
    try DigitsData.load(path: ExampleFolder.path("train-digits/digits.csv"))
  }

  private static func settings(epochs: Int, batch: Int = 96) -> TrainingSettings {
    var settings = TrainingSettings()
    settings.epochs = epochs
    settings.batch = batch
    return settings
  }

  /// Trains with tasks for ranks; their results by rank.
  private static func train(
    _ settings: TrainingSettings, ranks: Int, meeting: Meeting
  ) async throws -> [Training.Result] {
    let data = try digits()
    return try await withThrowingTaskGroup(of: (Int, Training.Result).self) { group in
      for rank in 0..<ranks {
        group.addTask {
          let training = try Training(settings: settings, rank: rank, worldSize: ranks)
          let exchange = MeetingExchange(meeting: meeting, rank: rank)
          return (rank, try await training.run(on: data, exchange: exchange))
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  @Test("alone it tells at least 96 % of the held-out images right, and reports every epoch")
  func alone() async throws {
    let training = try Training(settings: Self.settings(epochs: 30), rank: 0, worldSize: 1)
    let reports = Mutex<[EpochMetrics]>([])
    let result = try await training.run(on: Self.digits(), exchange: LocalExchange()) { epoch in
      reports.withLock { $0.append(epoch) }
    }
    let last = try #require(result.epochs.last)
    #expect(last.accuracy >= 0.96 && last.loss < 0.05, "\(last)")
    #expect(result.epochs.map(\.epoch) == Array(1...30))
    #expect(reports.withLock { $0 } == result.epochs)
  }

  @Test("three ranks end with the same bits and tell at least 96 % right")
  func threeRanks() async throws {
    let results = try await Self.train(
      Self.settings(epochs: 30), ranks: 3, meeting: Meeting(worldSize: 3))
    #expect(results.count == 3)
    #expect(results[1] == results[0] && results[2] == results[0])
    let last = try #require(results[0].epochs.last)
    #expect(last.accuracy >= 0.96, "\(last)")
  }

  @Test(
    "ranks that share batches compute what one process does, also where shares differ by an image",
    arguments: [(3, 96), (3, 100), (2, 33), (7, 50)])
  func sameAsAlone(ranks: Int, batch: Int) async throws {
    let settings = Self.settings(epochs: 2, batch: batch)
    let alone = try await Training(settings: settings, rank: 0, worldSize: 1)
      .run(on: Self.digits(), exchange: LocalExchange())
    let together = try await Self.train(
      settings, ranks: ranks, meeting: Meeting(worldSize: ranks))
    let distance = zip(alone.network.parameters, together[0].network.parameters)
      .map { abs($0 - $1) }.max()
    #expect(try #require(distance) < 2e-3)
    for (one, many) in zip(alone.epochs, together[0].epochs) {
      #expect(abs(one.loss - many.loss) < 1e-3)
    }
  }

  @Test("a step costs one exchange, and the comparison at the end one more")
  func exchanges() async throws {
    let meeting = Meeting(worldSize: 2)
    _ = try await Self.train(Self.settings(epochs: 2, batch: 500), ranks: 2, meeting: meeting)
    #expect(await meeting.meetings == 2 * 3 + 1)
  }

  @Test("ranks that do not average are told that they differ")
  func ranksThatDiffer() async throws {
    // Both believe in two ranks, yet only the last vector, the fingerprint, is averaged.
    let settings = Self.settings(epochs: 1)
    let meeting = Meeting(worldSize: 2)
    let data = try Self.digits()
    let errors = await withTaskGroup(of: (any Error)?.self) { group in
      for rank in 0..<2 {
        group.addTask {
          do {
            let training = try Training(settings: settings, rank: rank, worldSize: 2)
            let exchange = FingerprintsOnly(meeting: meeting, rank: rank)
            _ = try await training.run(on: data, exchange: exchange)
            return nil
          } catch {
            return error
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(errors.contains { "\($0 as Any)".contains("ended with other parameters") })
  }

  @Test("all shares of a batch together are the batch", arguments: [1, 2, 3, 7, 96])
  func shares(worldSize: Int) throws {
    let batch = Array(1000..<1093)[10...]
    let shares = try (0..<worldSize).map { rank in
      try Training(settings: TrainingSettings(), rank: rank, worldSize: worldSize).share(of: batch)
    }
    #expect(shares.flatMap { Array($0) } == Array(batch))
    #expect(try #require(shares.map(\.count).max()) - shares.map(\.count).min()! <= 1)
  }

  @Test("an exchange that fails ends the training with its error")
  func failingExchange() async throws {
    let training = try Training(settings: Self.settings(epochs: 1), rank: 0, worldSize: 3)
    await #expect(throws: Lost.self) {
      try await training.run(on: Self.digits(), exchange: LostExchange())
    }
  }

  @Test("a cancelled training stops")
  func cancellation() async throws {
    let data = try Self.digits()
    let task = Task {
      let training = try Training(settings: Self.settings(epochs: 10_000), rank: 0, worldSize: 1)
      return try await training.run(on: data, exchange: LocalExchange())
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  @Test(
    "a rank that is none of the ranks is refused",
    arguments: [(-1, 3), (3, 3), (0, 0), (0, -1), (0, 97)])
  func wrongRank(rank: Int, worldSize: Int) {
    #expect(throws: TrainingError.self) {
      try Training(settings: TrainingSettings(), rank: rank, worldSize: worldSize)
    }
  }

  private struct FingerprintsOnly: GradientExchange {
    let meeting: Meeting
    let rank: Int

    func average(_ gradient: inout [Float]) async throws {
      guard gradient.count == 8 else { return }
      gradient = await meeting.mean(of: gradient, from: rank)
    }
  }

  private struct Lost: Error {}

  private struct LostExchange: GradientExchange {
    func average(_ gradient: inout [Float]) async throws { throw Lost() }
  }
}
