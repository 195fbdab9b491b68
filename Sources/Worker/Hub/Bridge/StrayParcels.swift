import IorunCore
import IorunWire

/// What another node's processes sent before the head's order to make its receiver was here: the head
/// tells the sender where an actor will be while it tells the node. The two words take different ways.
/// A pure value, bounded in bytes and time.
struct StrayParcels: Sendable {
  /// What waits for one worker.
  struct Waiting: Sendable {
    var frames: [[UInt8]] = []
    var bytes = 0
    var sources: Set<ProcessAddress> = []
    var since: ContinuousClock.Instant
  }

  /// How long the order may take; more than any way on earth and a lost packet or two.
  static let patience = Duration.seconds(3)
  /// The most bytes that wait, of all workers together.
  static let byteLimit = 32 << 20
  static let workerLimit = 4096

  private var waiting: [WorkerID: Waiting] = [:]
  private var bytes = 0

  var isEmpty: Bool { waiting.isEmpty }

  /// Keeps whole frames for a worker that is not known; false where there is no room.
  mutating func add(
    _ frames: [UInt8], to worker: WorkerID, from source: ProcessAddress,
    _ now: ContinuousClock.Instant
  ) -> Bool {
    guard bytes + frames.count <= Self.byteLimit,
      waiting[worker] != nil || waiting.count < Self.workerLimit
    else { return false }
    bytes += frames.count
    // Out of the dictionary, so that the array is not copied.
    var entry = waiting.removeValue(forKey: worker) ?? Waiting(since: now)
    entry.frames.append(frames)
    entry.bytes += frames.count
    entry.sources.insert(source)
    waiting[worker] = entry
    return true
  }

  /// The worker is there now: what waits for it, in order.
  mutating func take(_ worker: WorkerID) -> Waiting? {
    guard let entry = waiting.removeValue(forKey: worker) else { return nil }
    bytes -= entry.bytes
    return entry
  }

  /// Those whose receiver does not come.
  mutating func takeLate(_ now: ContinuousClock.Instant) -> [(worker: WorkerID, entry: Waiting)] {
    guard !waiting.isEmpty else { return [] }
    return waiting.filter { now - $0.value.since > Self.patience }.keys.compactMap { worker in
      take(worker).map { (worker, $0) }
    }
  }
}

/// Segments of a job's stream that came before the head's word of the job. A pure value.
struct EarlySegments: Sendable {
  typealias Segment = (bytes: [UInt8], node: NodeID, done: @Sendable () -> Void)

  /// The most segments that are kept, of all jobs together; half a mebibyte each.
  static let limit = 128

  private var held: [JobID: (segments: [Segment], since: ContinuousClock.Instant)] = [:]
  private var count = 0

  /// Keeps a segment; false where there is no room.
  mutating func add(_ segment: Segment, of job: JobID, _ now: ContinuousClock.Instant) -> Bool {
    guard count < Self.limit else { return false }
    count += 1
    held[job, default: ([], now)].segments.append(segment)
    return true
  }

  /// How many are kept of one job.
  func count(of job: JobID) -> Int { held[job]?.segments.count ?? 0 }

  /// The job is known now: its segments, as they came.
  mutating func take(_ job: JobID) -> [Segment] {
    let segments = held.removeValue(forKey: job)?.segments ?? []
    count -= segments.count
    return segments
  }

  /// Those of jobs of which the head says nothing.
  mutating func takeLate(_ now: ContinuousClock.Instant) -> [Segment] {
    guard count > 0 else { return [] }
    return held.filter { now - $0.value.since > StrayParcels.patience }.keys.flatMap { take($0) }
  }
}
