internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// A job's objects on this node: the books, the shared memory, the disk behind it, and who waits.
/// Belongs to the hub's thread; bytes are copied and files are touched elsewhere.
final class ObjectStore {
  /// Tries to answer somebody; true once that is done.
  typealias Attempt = (Hub, ObjectStore) -> Bool

  private struct Waiter {
    var object: ObjectID
    var since: ContinuousClock.Instant
    var attempt: Attempt
    /// Tells whoever waits that it is in vain.
    var fail: (Hub, any Error) -> Void
    /// Room may never come: after a while it is refused.
    var isAllocation: Bool
  }

  /// An object on its way here.
  struct Pull {
    var pull: ObjectPull
    /// Where it will lie.
    let offset: Int64
    /// Calls that may yet write into its room: it is not given back before they end.
    var underWay = 0
    /// No source has it.
    var isLost = false
    /// The calls that are under way: those to a node that is lost are cut off.
    var calls: [ObjectPull.Request: Task<Void, Never>] = [:]
  }

  /// Holds objects that are being fetched for another node, or for this one.
  static let carrier = WorkerID(high: 0, low: 1)
  /// How long an allocation waits for room.
  static let roomLimit = Duration.seconds(60)

  let job: JobID
  let file: ArenaFile
  let warmer: ArenaWarmer
  var books: ObjectArena
  private let disk: SpillFolder
  private var waiters: [Waiter] = []
  private var isRetrying = false
  /// Objects on their way here.
  var pulls: [ObjectID: Pull] = [:]
  /// Nodes that fetched an object from here: freed here, it is freed there.
  var copies: [ObjectID: Set<NodeID>] = [:]

  /// Copies of other jobs' objects on this node: they go when those have gone.
  var guests: Set<ObjectID> = []

  /// - Parameter file: its memory, where that has been made: processes in sandboxes inherit it.
  init(
    job: JobID, node: NodeID, size: Int64, spillFolder: String, file: ArenaFile? = nil
  ) throws {
    self.job = job
    self.file = try file ?? ArenaFile(agent: node.peer, name: job.description, size: size)
    disk = try SpillFolder(spillFolder)
    books = ObjectArena(capacity: size, spillQuota: disk.quota())
    // First writes into cold pages are slow; all of it would be waste.
    warmer = ArenaWarmer(self.file, limit: min(max(1 << 30, size / 4), size))
  }

  /// Everything of it goes.
  func close() {
    warmer.stop()
    let disk = disk
    Task { try? await Blocking.run { disk.remove() } }
    waiters = []
  }

  /// Tries now, and if need be again whenever something has changed.
  func attempt(
    _ object: ObjectID, isAllocation: Bool = false, _ hub: Hub,
    fail: @escaping (Hub, any Error) -> Void, _ attempt: @escaping Attempt
  ) {
    if attempt(hub, self) { return }
    waiters.append(
      Waiter(
        object: object, since: .now, attempt: attempt, fail: fail, isAllocation: isAllocation))
  }

  /// Something was freed, sealed, moved or let go: who waits tries again.
  func changed(_ hub: Hub) {
    deleteFiles()
    guard !isRetrying, !waiters.isEmpty else { return }
    isRetrying = true
    defer { isRetrying = false }
    let present = waiters
    waiters = []
    let left = present.filter { !$0.attempt(hub, self) }
    waiters = left + waiters
  }

  /// Everybody who waits for an object is told that it is in vain.
  func fail(_ object: ObjectID, _ error: any Error, _ hub: Hub) {
    let failed = waiters.filter { $0.object == object && !$0.isAllocation }
    waiters.removeAll { $0.object == object && !$0.isAllocation }
    for waiter in failed { waiter.fail(hub, error) }
  }

  /// Refuses allocations that have waited for too long.
  func tidy(_ now: ContinuousClock.Instant, _ hub: Hub) {
    for object in guests where hub.neighbour(of: self, with: object) == nil {
      guests.remove(object)
      books.free(object)
    }
    let late = waiters.filter { $0.isAllocation && now - $0.since > Self.roomLimit }
    guard !late.isEmpty else { return }
    waiters.removeAll { $0.isAllocation && now - $0.since > Self.roomLimit }
    for waiter in late {
      waiter.fail(
        hub,
        IorunError(
          .storeFull,
          "no room for an object came free within 60 s: \(books.usedBytes) of \(books.capacity) "
            + "bytes of the object store are in use and held",
          remedy: "Hold fewer objects at once, or start the node with --object-store-memory"))
    }
  }

  /// Writes objects to disk, elsewhere.
  func spill(_ transfers: [ObjectArena.Transfer], _ hub: Hub) {
    let (disk, file, job, mailbox) = (disk, file, job, hub.mailbox)
    for transfer in transfers {
      Task {
        var failure: (any Error)?
        do {
          try await Blocking.run { try disk.write(transfer, from: file) }
        } catch {
          failure = error
        }
        mailbox.post { [failure] hub in
          if let failure { hub.logger.error("an object could not be spilled: \(failure)") }
          guard let store = hub.jobs[job]?.store else { return }
          store.books.spilled(transfer.object, succeeded: failure == nil)
          store.changed(hub)
        }
      }
    }
  }

  /// Reads an object back from disk, elsewhere.
  func restore(_ transfer: ObjectArena.Transfer, _ hub: Hub) {
    let (disk, file, job, mailbox) = (disk, file, job, hub.mailbox)
    Task {
      var failure: (any Error)?
      do {
        try await Blocking.run { try disk.read(transfer, into: file) }
      } catch {
        failure = error
      }
      mailbox.post { [failure] hub in
        guard let store = hub.jobs[job]?.store else { return }
        store.books.restored(transfer.object, succeeded: failure == nil)
        if let failure {
          store.fail(
            transfer.object,
            IorunError(.objectLost, "a spilled object cannot be read back", cause: failure), hub)
        }
        store.changed(hub)
      }
    }
  }

  /// A process is gone, with its pins, what it was writing, and what it owned.
  func processGone(_ worker: WorkerID, _ hub: Hub) {
    books.processGone(worker)
    ownerGone(worker, hub)
    // What other jobs' actors returned to it lies with them.
    for job in hub.jobs.values where job.store !== self { job.store?.ownerGone(worker, hub) }
  }

  /// The owner of objects is gone.
  func ownerGone(_ worker: WorkerID, _ hub: Hub) {
    books.ownerGone(worker)
    for object in Array(copies.keys) where object.owner == worker { copies[object] = nil }
    changed(hub)
  }

  private func deleteFiles() {
    let deletions = books.takeDeletions()
    guard !deletions.isEmpty else { return }
    let disk = disk
    // A file that stays goes with its folder.
    Task { try? await Blocking.run { for object in deletions { disk.delete(object) } } }
  }
}
