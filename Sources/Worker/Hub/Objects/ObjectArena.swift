import IorunCore

/// The books of a job's shared memory on one node: which object lies where, who holds it, what is on
/// disk. A pure value: it says what is to be written, read and deleted, and is told when that is done.
///
/// An object is allocated, written by its creator, sealed, and from then on immutable. Whoever reads it
/// pins it; what nobody pins may be spilled, the longest unused first; what its owner has freed goes
/// with its last pin. Nothing that is pinned, unsealed or being written to disk is ever handed out
/// again.
struct ObjectArena: Sendable {
  /// One part of the arena and the object in it, to be written to disk or read from it.
  struct Transfer: Hashable, Sendable {
    var object: ObjectID
    var offset: Int64
    var size: Int64
  }

  /// What an allocation comes to.
  enum AllocOutcome: Hashable, Sendable {
    /// The room is the caller's; it holds one pin.
    case room(offset: Int64)
    /// Write these to disk, tell `spilled`, and ask again.
    case spill([Transfer])
    /// Nothing can be moved now; ask again when something was freed, unpinned or spilled.
    case wait
    /// It never fits: larger than the arena, or beyond what the arena and the spill quota hold.
    case full(String)
    /// An object of that id is there.
    case exists
  }

  /// What a wish to read an object comes to.
  enum PinOutcome: Hashable, Sendable {
    /// It is there; the caller holds one more pin.
    case here(offset: Int64, size: Int64)
    /// Read it back from disk into this part, tell `restored`, and ask again.
    case restore(Transfer)
    /// Write these to disk first, tell `spilled`, and ask again.
    case spill([Transfer])
    /// It is being written by its creator, or moved; ask again on the next change.
    case wait
    /// It is not here.
    case unknown
  }

  private enum Place: Hashable, Sendable {
    /// In the arena, being written by its creator.
    case unsealed(creator: WorkerID)
    /// In the arena.
    case sealed
    /// In the arena, and being written to disk.
    case spilling
    /// On disk only.
    case spilled
    /// On disk, and being read back into the arena.
    case restoring
  }

  private struct Entry: Sendable {
    var place: Place
    var offset: Int64
    let size: Int64
    var pins: [WorkerID: Int] = [:]
    var lastUse: UInt64
    /// Its owner needs it no more.
    var isFreed = false
    /// A copy lies on disk: it need not be written again.
    var isOnDisk = false

    var isPinned: Bool { !pins.isEmpty }
    var isInArena: Bool {
      if case .spilled = place { false } else { true }
    }
  }

  /// The unit of room.
  static let block: Int64 = 4096

  let capacity: Int64
  let spillQuota: Int64
  private var free: FreeExtents
  private var entries: [ObjectID: Entry] = [:]
  private var clock: UInt64 = 0
  /// Bytes on disk.
  private(set) var spilledBytes: Int64 = 0
  /// Files whose objects are gone; `takeDeletions` hands them out.
  private var deletions: [ObjectID] = []
  /// The highest byte that was ever handed out: what lies below has warm pages.
  private(set) var highWater: Int64 = 0

  /// Books for an arena of `capacity` bytes, of which as much again as `spillQuota` may lie on disk.
  init(capacity: Int64, spillQuota: Int64) {
    self.capacity = capacity / Self.block * Self.block
    self.spillQuota = spillQuota
    free = FreeExtents(capacity: self.capacity)
  }

  /// Bytes of the arena in use.
  var usedBytes: Int64 { capacity - free.total }

  /// How many objects are known.
  var count: Int { entries.count }

  /// True where the object is here, sealed, in the arena or on disk.
  func contains(_ object: ObjectID) -> Bool {
    guard let entry = entries[object], !entry.isFreed else { return false }
    if case .unsealed = entry.place { return false }
    return true
  }

  /// True where the object is here or being written.
  func knows(_ object: ObjectID) -> Bool {
    entries[object].map { !$0.isFreed } ?? false
  }

  /// Every object: its size, whether it is sealed, on disk, and how many pins it has.
  var listing: [(object: ObjectID, size: Int64, place: String, pins: Int)] {
    entries.map { id, entry in
      let place =
        switch entry.place {
        case .unsealed: "UNSEALED"
        case .sealed, .spilling: "SEALED"
        case .spilled, .restoring: "SPILLED"
        }
      return (id, entry.size, place, entry.pins.values.reduce(0, +))
    }
  }

  /// Makes room for an object, which its creator then writes and seals.
  mutating func alloc(_ object: ObjectID, size: Int64, by creator: WorkerID) -> AllocOutcome {
    guard size >= 0, Self.blocks(size) <= capacity else {
      return .full("an object of \(size) bytes, but the object store has \(capacity)")
    }
    guard entries[object] == nil else { return .exists }
    switch makeRoom(size, quota: spillQuota) {
    case .offset(let offset):
      let now = tick()
      entries[object] = Entry(
        place: .unsealed(creator: creator), offset: offset, size: size, pins: [creator: 1],
        lastUse: now)
      return .room(offset: offset)
    case .spill(let transfers): return .spill(transfers)
    case .wait: return .wait
    case .overQuota:
      return .full(
        "\(size) bytes do not fit: \(usedBytes) of \(capacity) bytes are in use, and "
          + "\(spilledBytes) of \(spillQuota) lie on disk already")
    }
  }

  /// The creator has written the object: others may read it. False where there is nothing to seal.
  mutating func seal(_ object: ObjectID, by creator: WorkerID) -> Bool {
    guard entries[object]?.place == .unsealed(creator: creator) else { return false }
    entries[object]?.place = .sealed
    touch(object)
    drop(ifUseless: object)
    return true
  }

  /// The creator gives an object up that it has not sealed. False where there is none such.
  mutating func abort(_ object: ObjectID, by creator: WorkerID) -> Bool {
    guard entries[object]?.place == .unsealed(creator: creator) else { return false }
    release(object)
    return true
  }

  /// A process wants to read an object.
  mutating func pin(_ object: ObjectID, by reader: WorkerID) -> PinOutcome {
    guard let entry = entries[object], !entry.isFreed else { return .unknown }
    switch entry.place {
    case .unsealed, .restoring: return .wait
    case .sealed, .spilling:
      entries[object]?.pins[reader, default: 0] += 1
      touch(object)
      return .here(offset: entry.offset, size: entry.size)
    case .spilled:
      // A full quota keeps nobody from reading: what has to make room goes beyond it, by no more than the
      // arena holds. New objects are refused at the quota itself.
      switch makeRoom(entry.size, quota: spillQuota + capacity) {
      case .offset(let offset):
        entries[object]?.place = .restoring
        entries[object]?.offset = offset
        return .restore(Transfer(object: object, offset: offset, size: entry.size))
      case .spill(let transfers): return .spill(transfers)
      case .wait, .overQuota: return .wait
      }
    }
  }

  /// A process lets go of one pin. False where it has none.
  @discardableResult
  mutating func unpin(_ object: ObjectID, by reader: WorkerID) -> Bool {
    guard let count = entries[object]?.pins[reader] else { return false }
    entries[object]?.pins[reader] = count > 1 ? count - 1 : nil
    drop(ifUseless: object)
    return true
  }

  /// The owner needs the object no more: it goes with its last pin.
  mutating func free(_ object: ObjectID) {
    guard entries[object] != nil else { return }
    entries[object]?.isFreed = true
    drop(ifUseless: object)
  }

  /// A process is gone, and with it its pins and what it was writing.
  mutating func processGone(_ process: WorkerID) {
    for (object, entry) in entries {
      if entry.place == .unsealed(creator: process) {
        release(object)
      } else if entry.pins[process] != nil {
        entries[object]?.pins[process] = nil
        drop(ifUseless: object)
      }
    }
  }

  /// The owner of these objects is gone: nobody can ask for them any more.
  mutating func ownerGone(_ owner: WorkerID) {
    for object in Array(entries.keys) where object.owner == owner { free(object) }
  }

  /// A transfer to disk is over. Where it failed, or somebody has pinned the object meanwhile, it
  /// stays in the arena.
  mutating func spilled(_ object: ObjectID, succeeded: Bool) {
    guard let entry = entries[object], case .spilling = entry.place else { return }
    entries[object]?.place = .sealed
    if succeeded {
      if !entry.isOnDisk { spilledBytes += entry.size }
      entries[object]?.isOnDisk = true
      if !entry.isPinned, !entry.isFreed { leaveArena(object) }
    }
    drop(ifUseless: object)
  }

  /// A transfer from disk is over. Where it failed the object is lost.
  mutating func restored(_ object: ObjectID, succeeded: Bool) {
    guard entries[object]?.place == .restoring else { return }
    entries[object]?.place = .sealed
    touch(object)
    if !succeeded {
      release(object)
    } else {
      drop(ifUseless: object)
    }
  }

  /// Objects whose files are to be deleted, each once.
  mutating func takeDeletions() -> [ObjectID] {
    defer { deletions = [] }
    return deletions
  }

  // MARK: Room

  private enum Room {
    case offset(Int64)
    case spill([Transfer])
    case wait
    case overQuota
  }

  private static func blocks(_ size: Int64) -> Int64 {
    max(1, (size + block - 1) / block) * block
  }

  private mutating func makeRoom(_ size: Int64, quota: Int64) -> Room {
    let length = Self.blocks(size)
    if let offset = free.take(length) {
      highWater = max(highWater, offset + length)
      return .offset(offset)
    }
    let victims = entries.filter { _, entry in
      guard case .sealed = entry.place else { return false }
      return !entry.isPinned && !entry.isFreed
    }
    .sorted { $0.value.lastUse < $1.value.lastUse }
    // Room must be in one piece: what is chosen must make a piece that is long enough.
    var trial = free
    var chosen: [Transfer] = []
    var bytes: Int64 = 0
    var exceedsQuota = false
    for (object, entry) in victims {
      let added = entry.isOnDisk ? 0 : entry.size
      if added > 0, spilledBytes + bytes + added > quota {
        exceedsQuota = true
        continue
      }
      bytes += added
      chosen.append(Transfer(object: object, offset: entry.offset, size: entry.size))
      trial.give(entry.offset, Self.blocks(entry.size))
      if trial.longest >= length { break }
    }
    guard trial.longest >= length else {
      // What is held or under way may yet be let go; what only the quota keeps may not.
      let mayMove = entries.values.contains { entry in
        if case .sealed = entry.place { return entry.isPinned && !exceedsQuota }
        return entry.isInArena
      }
      return exceedsQuota && !mayMove ? .overQuota : .wait
    }
    // What lies on disk already needs no writing: it goes at once.
    let unwritten = chosen.filter { entries[$0.object]?.isOnDisk == false }
    for transfer in chosen where entries[transfer.object]?.isOnDisk == true {
      leaveArena(transfer.object)
    }
    for transfer in unwritten { entries[transfer.object]?.place = .spilling }
    return unwritten.isEmpty ? makeRoom(size, quota: quota) : .spill(unwritten)
  }

  private mutating func tick() -> UInt64 {
    clock += 1
    return clock
  }

  private mutating func touch(_ object: ObjectID) {
    let now = tick()
    entries[object]?.lastUse = now
  }

  /// Its room is free; it lies on disk.
  private mutating func leaveArena(_ object: ObjectID) {
    guard let entry = entries[object] else { return }
    free.give(entry.offset, Self.blocks(entry.size))
    entries[object]?.place = .spilled
  }

  private mutating func drop(ifUseless object: ObjectID) {
    guard let entry = entries[object], entry.isFreed, !entry.isPinned else { return }
    switch entry.place {
    case .sealed, .spilled: release(object)
    // Dropped when the creator, or the disk, is done.
    case .unsealed, .spilling, .restoring: return
    }
  }

  private mutating func release(_ object: ObjectID) {
    guard let entry = entries.removeValue(forKey: object) else { return }
    if entry.isInArena { free.give(entry.offset, Self.blocks(entry.size)) }
    if entry.isOnDisk {
      spilledBytes -= entry.size
      deletions.append(object)
    }
  }
}
