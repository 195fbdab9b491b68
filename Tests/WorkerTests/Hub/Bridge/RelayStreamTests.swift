import IorunCore
import TestSupport
import Testing

@testable import IorunWorker

/// Parcels between nodes: whole, in order, once, whatever becomes of the calls that carry them.
struct RelayStreamTests {
  private func parcel(_ random: inout SeededGenerator, upTo count: Int) -> RelayParcel {
    RelayParcel(
      source: WorkerID(using: &random), destination: WorkerID(using: &random),
      frames: random.bytes(Int.random(in: 0...count, using: &random)))
  }

  private func segment(of sender: inout RelaySender) throws -> [UInt8] {
    let next = sender.next()
    return try #require(next).bytes
  }

  @Test(arguments: 0..<6 as Range<UInt64>)
  func `parcels arrive in order and once, though segments overtake and repeat`(seed: UInt64) throws
  {
    var random = SeededGenerator(seed: seed)
    var sender = RelaySender(stream: random.next())
    var receiver = RelayReceiver()
    var sent: [RelayParcel] = []
    var arrived: [RelayParcel] = []
    var onTheWay: [RelaySender.Segment] = []
    for round in 0..<300 {
      if round < 200 {
        let parcel = parcel(&random, upTo: round % 80 == 0 ? 1 << 20 : 1000)
        sent.append(parcel)
        sender.append(parcel)
      }
      while let segment = sender.next() { onTheWay.append(segment) }
      for _ in 0..<Int.random(in: 0..<6, using: &random) {
        guard let index = onTheWay.indices.randomElement(using: &random) else { break }
        let segment = onTheWay[index]
        arrived += try receiver.receive(segment.bytes)
        // Sometimes the answer is lost, and the segment comes again.
        guard Bool.random(using: &random) else { continue }
        onTheWay.remove(at: index)
        sender.delivered(segment.sequence)
      }
    }
    while !onTheWay.isEmpty || sender.waitingBytes > 0 {
      for segment in onTheWay {
        arrived += try receiver.receive(segment.bytes)
        sender.delivered(segment.sequence)
      }
      onTheWay = []
      while let segment = sender.next() { onTheWay.append(segment) }
    }
    #expect(arrived == sent, "seed \(seed)")
  }

  @Test func `waiting parcels share a segment`() throws {
    var random = SeededGenerator(seed: 1)
    var sender = RelaySender(stream: 1)
    for _ in 0..<100 { sender.append(parcel(&random, upTo: 100)) }
    let segment = try segment(of: &sender)
    #expect(sender.waitingBytes == 0)
    var receiver = RelayReceiver()
    let arrived = try receiver.receive(segment)
    #expect(arrived.count == 100)
  }

  @Test func `no more than the window is under way`() {
    var sender = RelaySender(stream: 1)
    let worker = WorkerID(high: 1, low: 1)
    sender.append(
      RelayParcel(
        source: worker, destination: worker,
        frames: Array(repeating: 0, count: RelaySender.segmentBytes * (RelaySender.window + 5))))
    var count = 0
    while sender.next() != nil { count += 1 }
    #expect(count == RelaySender.window)
    sender.delivered(1)
    #expect(sender.next() != nil)
  }

  @Test func `a sender that began anew is heard from its start`() throws {
    var random = SeededGenerator(seed: 2)
    var receiver = RelayReceiver()
    var old = RelaySender(stream: 1)
    old.append(parcel(&random, upTo: 1 << 20))
    _ = try receiver.receive(segment(of: &old))
    var new = RelaySender(stream: 2)
    let parcel = parcel(&random, upTo: 10)
    new.append(parcel)
    let arrived = try receiver.receive(segment(of: &new))
    #expect(arrived == [parcel])
  }

  @Test(arguments: 0..<200 as Range<UInt64>)
  func `hostile bytes are refused or wait, and never crash`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var sender = RelaySender(stream: random.next())
    for _ in 0..<5 { sender.append(parcel(&random, upTo: 200)) }
    var bytes = try segment(of: &sender)
    for _ in 0..<Int.random(in: 1..<8, using: &random) {
      switch Int.random(in: 0..<3, using: &random) {
      case 0: bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255)
      case 1: bytes.removeLast(min(bytes.count - 1, Int.random(in: 0..<40, using: &random)))
      default: bytes += random.bytes(10)
      }
    }
    var receiver = RelayReceiver()
    do {
      _ = try receiver.receive(bytes)
    } catch {
      #expect(error.code == .malformed)
    }
  }
}
