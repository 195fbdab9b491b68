import IorunCore
import TestSupport
import Testing

@testable import IorunWorker

/// The books of shared memory: nobody's bytes are handed out twice, nothing pinned is moved.
struct ObjectArenaTests {
  private let anna = WorkerID(high: 1, low: 1)
  private let bert = WorkerID(high: 2, low: 2)

  private func id(_ counter: UInt64) -> ObjectID {
    ObjectID(owner: anna, counter: counter, index: 0)
  }

  private func sealed(_ arena: inout ObjectArena, _ counter: UInt64, size: Int64) {
    guard case .room = arena.alloc(id(counter), size: size, by: anna) else {
      Issue.record("no room for \(counter)")
      return
    }
    #expect(arena.seal(id(counter), by: anna) == true)
    arena.unpin(id(counter), by: anna)
  }

  @Test func `an object is readable once it is sealed, and not before`() {
    var arena = ObjectArena(capacity: 1 << 20, spillQuota: 0)
    #expect(arena.alloc(id(1), size: 100, by: anna) == .room(offset: 0))
    #expect(arena.pin(id(1), by: bert) == .wait)
    #expect(arena.seal(id(1), by: bert) == false, "only its creator seals it")
    #expect(arena.seal(id(1), by: anna) == true)
    #expect(arena.pin(id(1), by: bert) == .here(offset: 0, size: 100))
    #expect(arena.alloc(id(1), size: 100, by: bert) == .exists)
  }

  @Test func `a freed object goes with its last pin`() {
    var arena = ObjectArena(capacity: 1 << 20, spillQuota: 0)
    sealed(&arena, 1, size: 5000)
    #expect(arena.pin(id(1), by: bert) == .here(offset: 0, size: 5000))
    arena.free(id(1))
    #expect(arena.usedBytes == 8192)
    #expect(arena.pin(id(1), by: anna) == .unknown, "nobody new may read it")
    arena.unpin(id(1), by: bert)
    #expect(arena.usedBytes == 0)
  }

  @Test func `what is longest unused is spilled, and comes back when it is read`() {
    var arena = ObjectArena(capacity: 4 * 4096, spillQuota: 1 << 20)
    for counter in 1...4 { sealed(&arena, UInt64(counter), size: 4096) }
    #expect(arena.pin(id(1), by: bert) == .here(offset: 0, size: 4096))
    arena.unpin(id(1), by: bert)
    let victim = ObjectArena.Transfer(object: id(2), offset: 4096, size: 4096)
    #expect(arena.alloc(id(5), size: 4096, by: anna) == .spill([victim]))
    #expect(arena.alloc(id(6), size: 4096, by: anna) != .room(offset: 4096), "still being written")
    arena.spilled(id(2), succeeded: true)
    #expect(arena.alloc(id(5), size: 4096, by: anna) == .room(offset: 4096))
    #expect(arena.spilledBytes == 4096)
    arena.spilled(id(3), succeeded: true)
    guard case .restore(let transfer) = arena.pin(id(2), by: bert) else {
      Issue.record("it is not read back")
      return
    }
    arena.restored(transfer.object, succeeded: true)
    #expect(arena.pin(id(2), by: bert) == .here(offset: transfer.offset, size: 4096))
  }

  @Test func `an object that is pinned while it is spilled stays`() {
    var arena = ObjectArena(capacity: 4096, spillQuota: 1 << 20)
    sealed(&arena, 1, size: 10)
    guard case .spill = arena.alloc(id(2), size: 10, by: anna) else {
      Issue.record("nothing is spilled")
      return
    }
    #expect(arena.pin(id(1), by: bert) == .here(offset: 0, size: 10))
    arena.spilled(id(1), succeeded: true)
    #expect(arena.alloc(id(2), size: 10, by: anna) == .wait)
    arena.unpin(id(1), by: bert)
    #expect(
      arena.alloc(id(2), size: 10, by: anna) == .room(offset: 0), "its copy is on disk already")
  }

  @Test func `what can never fit is refused, what may fit later waits`() {
    var arena = ObjectArena(capacity: 8192, spillQuota: 0)
    guard case .full = arena.alloc(id(1), size: 8193, by: anna) else {
      Issue.record("larger than the arena")
      return
    }
    sealed(&arena, 1, size: 4096)
    sealed(&arena, 2, size: 4096)
    guard case .full = arena.alloc(id(3), size: 1, by: anna) else {
      Issue.record("the spill quota is used up")
      return
    }
    var roomy = ObjectArena(capacity: 4096, spillQuota: 1 << 20)
    #expect(roomy.alloc(id(1), size: 1, by: anna) == .room(offset: 0))
    #expect(roomy.alloc(id(2), size: 1, by: anna) == .wait)
  }

  @Test func `what is on disk can be read although store and quota are full`() {
    var arena = ObjectArena(capacity: 2 * 4096, spillQuota: 4096)
    sealed(&arena, 1, size: 4096)
    sealed(&arena, 2, size: 4096)
    guard case .spill = arena.alloc(id(3), size: 4096, by: anna) else {
      Issue.record("nothing is spilled")
      return
    }
    arena.spilled(id(1), succeeded: true)
    sealed(&arena, 3, size: 4096)
    guard case .full = arena.alloc(id(4), size: 4096, by: anna) else {
      Issue.record("store and quota are full")
      return
    }
    guard case .spill(let victims) = arena.pin(id(1), by: bert), victims.map(\.object) == [id(2)]
    else {
      Issue.record("the longest unused makes no room")
      return
    }
    arena.spilled(id(2), succeeded: true)
    guard case .restore(let transfer) = arena.pin(id(1), by: bert) else {
      Issue.record("it is not read back")
      return
    }
    arena.restored(transfer.object, succeeded: true)
    #expect(arena.pin(id(1), by: bert) == .here(offset: transfer.offset, size: 4096))
    arena.unpin(id(1), by: bert)
    // It lies on disk still: it goes again at once for a new object.
    #expect(arena.alloc(id(4), size: 4096, by: anna) == .room(offset: transfer.offset))
    #expect(arena.spilledBytes == 2 * 4096)
  }

  @Test func `a process that goes takes its pins and what it was writing along`() {
    var arena = ObjectArena(capacity: 1 << 20, spillQuota: 0)
    #expect(arena.alloc(id(1), size: 10, by: bert) == .room(offset: 0))
    sealed(&arena, 2, size: 10)
    #expect(arena.pin(id(2), by: bert) == .here(offset: 4096, size: 10))
    arena.free(id(2))
    arena.processGone(bert)
    #expect(arena.usedBytes == 0)
    #expect(arena.count == 0)
  }

  @Test func `files of objects that are gone are deleted once`() {
    var arena = ObjectArena(capacity: 4096, spillQuota: 1 << 20)
    sealed(&arena, 1, size: 10)
    _ = arena.alloc(id(2), size: 10, by: anna)
    arena.spilled(id(1), succeeded: true)
    arena.ownerGone(anna)
    #expect(arena.takeDeletions() == [id(1)])
    #expect(arena.takeDeletions() == [])
    #expect(arena.spilledBytes == 0)
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `in any order of events parts never overlap and nothing is lost count of`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var arena = ObjectArena(capacity: 64 * 4096, spillQuota: 128 * 4096)
    // What readers and writers believe to hold: object, offset, size, process.
    var held: [(object: ObjectID, range: Range<Int64>, process: WorkerID)] = []
    var spilling: [ObjectArena.Transfer] = []
    var restoring: [ObjectArena.Transfer] = []
    var known: [ObjectID] = []
    var next: UInt64 = 0
    func begin(_ transfers: [ObjectArena.Transfer]) { spilling += transfers }
    for step in 0..<1500 {
      let process = Bool.random(using: &random) ? anna : bert
      let before = held.count
      switch Int.random(in: 0..<8, using: &random) {
      case 0, 1:
        next += 1
        let size = Int64.random(in: 0...40_000, using: &random)
        switch arena.alloc(id(next), size: size, by: process) {
        case .room(let offset):
          known.append(id(next))
          held.append((id(next), offset..<(offset + max(1, size)), process))
          #expect(arena.seal(id(next), by: process) == true)
        case .spill(let transfers): begin(transfers)
        case .wait, .full: break
        case .exists: Issue.record("seed \(seed): a new id exists")
        }
      case 2, 3:
        guard let object = known.randomElement(using: &random) else { continue }
        switch arena.pin(object, by: process) {
        case .here(let offset, let size):
          held.append((object, offset..<(offset + max(1, size)), process))
        case .restore(let transfer): restoring.append(transfer)
        case .spill(let transfers): begin(transfers)
        case .wait, .unknown: break
        }
      case 4, 5:
        guard let index = held.indices.randomElement(using: &random) else { continue }
        let pin = held.remove(at: index)
        #expect(arena.unpin(pin.object, by: pin.process) == true, "seed \(seed), step \(step)")
      case 6:
        guard let index = known.indices.randomElement(using: &random) else { continue }
        arena.free(known.remove(at: index))
      default:
        if let transfer = spilling.popLast() {
          arena.spilled(transfer.object, succeeded: Int.random(in: 0..<8, using: &random) > 0)
        } else if let transfer = restoring.popLast() {
          arena.restored(transfer.object, succeeded: true)
        }
      }
      // Two holders share bytes only where they hold the same object.
      guard held.count > before, let newest = held.last else { continue }
      for other in held where other.object != newest.object {
        #expect(!newest.range.overlaps(other.range), "seed \(seed), step \(step)")
      }
    }
    for pin in held { arena.unpin(pin.object, by: pin.process) }
    for object in known { arena.free(object) }
    for transfer in spilling { arena.spilled(transfer.object, succeeded: true) }
    for transfer in restoring { arena.restored(transfer.object, succeeded: true) }
    #expect(arena.usedBytes == 0, "seed \(seed)")
    #expect(arena.spilledBytes == 0, "seed \(seed)")
    #expect(arena.count == 0, "seed \(seed)")
  }
}
