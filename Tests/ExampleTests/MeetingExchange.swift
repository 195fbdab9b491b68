import DigitsTraining

/// Ranks that are tasks of one process: each waits until all have brought their vector, and all
/// leave with the mean.
actor Meeting {
  private let worldSize: Int
  private var brought: [Int: [Float]] = [:]
  private var waiting: [CheckedContinuation<[Float], Never>] = []
  /// How often all ranks have met.
  private(set) var meetings = 0

  init(worldSize: Int) { self.worldSize = worldSize }

  func mean(of vector: [Float], from rank: Int) async -> [Float] {
    precondition(brought[rank] == nil, "rank \(rank) came twice")
    brought[rank] = vector
    guard brought.count == worldSize else {
      return await withCheckedContinuation { waiting.append($0) }
    }
    // In the order of ranks, so that one seed gives one network.
    let sum = brought.keys.sorted().compactMap { brought[$0] }
      .reduce([Float](repeating: 0, count: vector.count)) { zip($0, $1).map { $0 + $1 } }
    let mean = sum.map { $0 / Float(worldSize) }
    let leaving = waiting
    (brought, waiting) = ([:], [])
    meetings += 1
    for continuation in leaving { continuation.resume(returning: mean) }
    return mean
  }
}

/// One rank's way to the meeting.
struct MeetingExchange: GradientExchange {
  let meeting: Meeting
  let rank: Int

  func average(_ gradient: inout [Float]) async throws {
    gradient = await meeting.mean(of: gradient, from: rank)
  }
}
