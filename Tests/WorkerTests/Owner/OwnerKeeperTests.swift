import Foundation
import IorunContract
import IorunCore
import Logging
import Synchronization
import Testing

@testable import IorunWorker

@Suite struct OwnerKeeperTests {
  /// A node that keeps what it was told.
  private final class FakeNode: Sendable {
    struct State {
      var announced: [NodeAvailability] = []
      var endings: [String] = []
      var work: [WorkerStatus.Work] = []
      var isDeaf = false
    }

    let state = Mutex(State())

    var node: OwnerKeeper.Node {
      OwnerKeeper.Node(
        status: { self.status },
        announce: { availability in
          try self.state.withLock { state in
            guard !state.isDeaf else { throw IorunError(.unreachable, "the head is away") }
            state.announced.append(availability)
          }
        },
        endWork: { reason in self.state.withLock { $0.endings.append(reason) } })
    }

    private var status: WorkerStatus {
      WorkerStatus(
        processID: 1, name: "n", node: "id", head: "h:1", isConnected: true,
        roundTripMilliseconds: 1, startedAt: 0, updatedAt: 0, hold: nil, milliCPUs: 1000, gpus: 0,
        work: state.withLock { $0.work })
    }
  }

  private func folder() throws -> String {
    let folder = NSTemporaryDirectory() + "iorun-keeper-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }

  private static let rank = WorkerStatus.Work(
    job: "job-1", rank: 0, state: "running", milliCPUs: 1000, memoryBytes: 1, gpus: 0)

  @Test func `a node whose owner has paused it says so when it registers`() async throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var wishes = OwnerWishes()
    wishes.isPaused = true
    try wishes.save(to: folder)
    let keeper = OwnerKeeper(folder: folder, logger: Logger(label: "test"))
    await keeper.begin(MachineUse(minuteOfDay: 0))
    #expect(await keeper.availability.hold == OwnerHold.paused.reason)
  }

  @Test(.timeLimit(.minutes(1)))
  func `the head hears each change, after a failure again, and --now ends what runs`() async throws
  {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let keeper = OwnerKeeper(folder: folder, logger: Logger(label: "test"))
    await keeper.begin(MachineUse(minuteOfDay: 0))
    await keeper.registered(.open)
    let fake = FakeNode()
    fake.state.withLock {
      $0.isDeaf = true
      $0.work = [Self.rank]
    }
    let running = Task { await keeper.run(fake.node) }
    defer { running.cancel() }
    var wishes = OwnerWishes()
    wishes.isPaused = true
    wishes.endings = 1
    try wishes.save(to: folder)
    // What runs is ended also while the head is away; the head is told once it is back.
    while fake.state.withLock({ $0.endings.isEmpty }) {
      try await Task.sleep(for: .milliseconds(20))
    }
    fake.state.withLock { $0.isDeaf = false }
    while fake.state.withLock({ $0.announced.isEmpty }) {
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(
      fake.state.withLock { $0.announced } == [NodeAvailability(hold: OwnerHold.paused.reason)])
    #expect(fake.state.withLock { $0.endings.count } == 1)
    #expect(try WorkerStatus.load(from: folder)?.hold == OwnerHold.paused.reason)
    try OwnerWishes().save(to: folder)
    while fake.state.withLock({ $0.announced.count < 2 }) {
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(fake.state.withLock { $0.announced.last } == .open)
  }

  @Test func `what holds more of a GPU than the owner lends is ended, and nothing else`()
    async throws
  {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let keeper = OwnerKeeper(folder: folder, gpuMemory: .gibi(8), logger: Logger(label: "test"))
    let fake = FakeNode()
    var node = fake.node
    let ended = Mutex<[Int]>([])
    node.endGPUWork = { index, _ in ended.withLock { $0.append(index) } }
    var use = MachineUse(minuteOfDay: 0)
    use.ownGPUMemory = [0: .gibi(8), 1: .gibi(9)]
    await keeper.keepGPUMemory(use, node)
    #expect(ended.withLock { $0 } == [1])
    #expect(fake.state.withLock { $0.endings.isEmpty })
  }

  @Test(.timeLimit(.minutes(1)))
  func `a node that is to leave does so once nothing runs there`() async throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var wishes = OwnerWishes()
    wishes.isLeaving = true
    try wishes.save(to: folder)
    let keeper = OwnerKeeper(folder: folder, logger: Logger(label: "test"))
    await keeper.begin(MachineUse(minuteOfDay: 0))
    await keeper.registered(await keeper.availability)
    let fake = FakeNode()
    fake.state.withLock { $0.work = [Self.rank] }
    let isOver = Mutex(false)
    let running = Task {
      await keeper.run(fake.node)
      isOver.withLock { $0 = true }
    }
    while try WorkerStatus.load(from: folder)?.work.isEmpty ?? true {
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(!isOver.withLock { $0 })
    fake.state.withLock { $0.work = [] }
    await running.value
    #expect(fake.state.withLock { $0.endings.isEmpty })
  }
}
