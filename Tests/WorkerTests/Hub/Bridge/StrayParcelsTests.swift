import IorunCore
import IorunWire
import Synchronization
import Testing

@testable import IorunWorker

/// Parcels that come before the head's word of their receiver.
struct StrayParcelsTests {
  private let start = ContinuousClock.now
  private let worker = WorkerID(high: 1, low: 1)
  private let source = ProcessAddress(
    node: NodeID(high: 2, low: 2), worker: WorkerID(high: 3, low: 3))

  @Test func `what waited is handed out in order, once`() {
    var strays = StrayParcels()
    for byte in 0..<3 as Range<UInt8> {
      let isKept = strays.add([byte], to: worker, from: source, start)
      #expect(isKept)
    }
    let taken = strays.take(worker)
    #expect(taken?.frames == [[0], [1], [2]])
    #expect(taken?.bytes == 3)
    let again = strays.take(worker)
    #expect(again == nil)
    #expect(strays.isEmpty)
  }

  @Test func `the bytes of all together are bounded, and free again once taken`() {
    var strays = StrayParcels()
    let half = [UInt8](repeating: 0, count: StrayParcels.byteLimit / 2)
    let other = WorkerID(high: 9, low: 9)
    let (first, second) = (
      strays.add(half, to: worker, from: source, start),
      strays.add(half, to: other, from: source, start)
    )
    #expect(first && second)
    let beyond = strays.add([1], to: worker, from: source, start)
    #expect(!beyond)
    _ = strays.take(other)
    let fits = strays.add([1], to: worker, from: source, start)
    #expect(fits)
  }

  @Test func `those whose receiver does not come are told of after a while`() {
    var strays = StrayParcels()
    _ = strays.add([1], to: worker, from: source, start)
    let early = strays.takeLate(start + StrayParcels.patience)
    #expect(early.isEmpty)
    let late = strays.takeLate(start + StrayParcels.patience + .milliseconds(1))
    #expect(late.map(\.worker) == [worker])
    #expect(late.first?.entry.sources == [source])
    #expect(strays.isEmpty)
  }

  @Test func `segments of unknown jobs are bounded in number`() throws {
    var early = EarlySegments()
    let job = try #require(JobID("job-aaaaaaaa"))
    let done = Mutex(0)
    for index in 0...EarlySegments.limit {
      let isKept = early.add(
        ([1], source.node, { done.withLock { $0 += 1 } }), of: job, start)
      #expect(isKept == (index < EarlySegments.limit))
    }
    let none = early.takeLate(start + .seconds(1))
    #expect(none.isEmpty)
    let late = early.takeLate(start + .seconds(4))
    for segment in late { segment.done() }
    #expect(done.withLock { $0 } == EarlySegments.limit)
    let left = early.take(job)
    #expect(left.isEmpty)
  }
}
