internal import IorunCore
internal import IorunWire

/// The right to run tasks on one worker, and how many tasks it is given ahead. Its properties belong to
/// the queue's lock.
///
/// Safety of `@unchecked Sendable`: see above; `grant`, `peer`, `isFar` and `isContended` are constant.
final class WorkerLease: @unchecked Sendable {
  /// What earlier leases on other nodes have learned: it spares the next one round trips.
  struct FarExperience {
    var window = 1
    var roundTrip: Double?
  }

  /// This much work is kept at each worker, beyond the round trip.
  static let nanosecondsAhead = 10_000_000.0
  private static let windowLimit = 4000
  private static let farWindowLimit = 16_000

  let grant: RuntimeLease
  let peer: Peer
  /// The worker is on another node.
  let isFar: Bool
  /// Others wait for such a worker: the lease goes back as soon as it is idle.
  let isContended: Bool
  var inFlight: [UInt64: TaskRecord] = [:]
  /// How many tasks it may have; 0 where none can be sent any more.
  var window: Int
  var idleSince: ContinuousClock.Instant
  var isStealing = false
  /// When the worker last ended a task, or was given its first.
  var progress: ContinuousClock.Instant
  /// When a task was last sent to it while it had none.
  private var sentAt: ContinuousClock.Instant
  /// Nanoseconds there and back, the shortest seen; only of workers that are far.
  private(set) var roundTrip: Double?

  init(
    grant: RuntimeLease, peer: Peer, isFar: Bool, isContended: Bool, experience: FarExperience
  ) {
    self.grant = grant
    self.peer = peer
    self.isFar = isFar
    self.isContended = isContended
    window = isFar ? experience.window : 1
    roundTrip = isFar ? experience.roundTrip : nil
    idleSince = .now
    progress = idleSince
    sentAt = idleSince
  }

  /// Takes note of a task that was sent.
  func sent(_ record: TaskRecord) {
    if inFlight.isEmpty {
      progress = .now
      sentAt = progress
    }
    inFlight[record.number] = record
  }

  /// A task has ended that took so long, where tasks take `average` nanoseconds: sets the window.
  func ended(nanoseconds: Double, average: Double) {
    progress = .now
    var ahead = Self.nanosecondsAhead
    if isFar {
      // Nothing was before it on the way: what it did not take itself is the way.
      if inFlight.isEmpty || window == 1 {
        let way = max(0, (progress - sentAt) / .nanoseconds(1) - nanoseconds)
        roundTrip = min(roundTrip ?? way, way)
      }
      ahead += 1.5 * (roundTrip ?? 0)
    }
    let target = Int(ahead / max(average, 1000))
    let limit = isFar ? Self.farWindowLimit : min(Self.windowLimit, max(1, window * 2))
    window = max(1, min(target, limit))
  }
}
