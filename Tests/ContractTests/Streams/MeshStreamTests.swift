import Foundation
import IorunCore
import Synchronization
import TestSupport
import Testing

@testable import IorunContract

/// Carries what one end says to the other, out of order and late.
private final class LooseOutlet: StreamOutlet {
  let other = Mutex<MeshStream?>(nil)
  let generator: Mutex<SeededGenerator>
  let waiting = Mutex(0)
  let mostWaiting = Mutex(0)

  init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }

  private func peer() throws -> MeshStream {
    guard let peer = other.withLock({ $0 }) else { throw IorunError(.peerLost, "gone") }
    return peer
  }

  func send(_ bytes: Data, of stream: UInt64, at offset: UInt64, isLast: Bool) async throws {
    for _ in 0..<generator.withLock({ Int.random(in: 0...20, using: &$0) }) { await Task.yield() }
    let now = waiting.withLock { waiting in
      waiting += bytes.count
      return waiting
    }
    mostWaiting.withLock { $0 = max($0, now) }
    try peer().received([UInt8](bytes), at: offset, isLast: isLast)
  }
  func allow(_ limit: UInt64, of stream: UInt64) async throws { try peer().allowed(limit) }
  func reset(_ stream: UInt64, reason: IorunError) async throws { try peer().fail(reason) }
  func unknown(of streams: [UInt64]) async throws -> [UInt64] { [] }
}

@Suite("A stream between two peers")
struct MeshStreamTests {
  private func pair(seed: UInt64, window: UInt64) -> (MeshStream, MeshStream, LooseOutlet) {
    let (there, back) = (LooseOutlet(seed: seed), LooseOutlet(seed: seed + 1))
    let peer = PeerID(high: 1, low: 1)
    let one = MeshStream(
      id: 1, peer: peer, callers: [peer], sendLimit: window, window: window, outlet: there
    ) { _ in }
    let other = MeshStream(
      id: 1, peer: peer, callers: [peer], sendLimit: window, window: window, outlet: back
    ) { _ in }
    there.other.withLock { $0 = other }
    back.other.withLock { $0 = one }
    return (one, other, there)
  }

  @Test("bytes come as they were written, both ways at once, and each side ends by itself")
  func bothWays() async throws {
    for seed in 0..<10 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let texts = [generator.bytes(300_000), generator.bytes(200_000)]
      let (one, other, _) = pair(seed: seed, window: 4096)
      try await withThrowingTaskGroup { group in
        for (stream, text) in [(one, texts[0]), (other, texts[1])] {
          group.addTask {
            for start in stride(from: 0, to: text.count, by: 10_000) {
              try await stream.write(Array(text[start..<min(start + 10_000, text.count)]))
            }
            try await stream.finish()
            try await stream.drained()
          }
        }
        for (stream, text) in [(other, texts[0]), (one, texts[1])] {
          group.addTask {
            var read: [UInt8] = []
            while let bytes = try await stream.read(upTo: 777) { read += bytes }
            #expect(read == text, "seed \(seed)")
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test("a reader that reads nothing holds its writer up at the window")
  func pushback() async throws {
    let (one, other, outlet) = pair(seed: 1, window: 10_000)
    let writing = Task { try await one.write([UInt8](repeating: 7, count: 1_000_000)) }
    while outlet.waiting.withLock({ $0 }) < 10_000 { await Task.yield() }
    for _ in 0..<1000 { await Task.yield() }
    #expect(outlet.mostWaiting.withLock { $0 } == 10_000)
    var count = 0
    while count < 1_000_000, let bytes = try await other.read() { count += bytes.count }
    try await writing.value
    #expect(count == 1_000_000)
  }

  @Test("a reset reaches the other side's reader with its reason, after what came before it")
  func reset() async throws {
    let (one, other, _) = pair(seed: 2, window: 100)
    try await one.write([1, 2, 3])
    let first = try await other.read()
    #expect(first == [1, 2, 3])
    let reading = Task { try await other.read() }
    one.reset(IorunError(.rankEnded, "the rank has ended"))
    await #expect(throws: IorunError(.rankEnded, "the rank has ended")) { try await reading.value }
    await #expect(throws: IorunError.self) { try await other.write([1]) }
    await #expect(throws: IorunError.self) { try await one.read() }
  }

  @Test("who waits hears of a cancellation")
  func cancelled() async throws {
    let (one, other, _) = pair(seed: 3, window: 10)
    let writing = Task { try await one.write([UInt8](repeating: 1, count: 100)) }
    // What was read has been written: the rest is more than the window takes.
    _ = try await other.read()
    writing.cancel()
    await #expect(throws: CancellationError.self) { try await writing.value }
    let end = Task { try await one.drained() }
    end.cancel()
    await #expect(throws: CancellationError.self) { try await end.value }
    let again = Task { while try await other.read() != nil {} }
    again.cancel()
    await #expect(throws: CancellationError.self) { try await again.value }
  }
}

@Suite("Records on a stream")
struct RecordTests {
  @Test("arbitrary bytes are records or refused, never a crash or an endless loop")
  func fuzz() throws {
    var generator = SeededGenerator(seed: 42)
    var good: [UInt8] = []
    for record in [
      ExecRecord.input([1, 2]), .resize(TerminalSize(rows: 3, columns: 4)), .exited(7),
    ] {
      good += record.encoded
    }
    var (accepted, refused) = (0, 0)
    for _ in 0..<20_000 {
      var bytes = Bool.random(using: &generator) ? good : generator.bytes(40)
      for _ in 0..<Int.random(in: 0...4, using: &generator) {
        bytes[Int.random(in: bytes.indices, using: &generator)] =
          UInt8.random(in: 0...255, using: &generator)
      }
      var reader = RecordReader(most: ExecRecord.mostBytes)
      reader.append(bytes)
      do {
        while let (kind, body) = try reader.next() {
          _ = try ExecRecord(kind: kind, body: body)
          accepted += 1
        }
      } catch {
        refused += 1
      }
    }
    #expect(accepted > 0 && refused > 0)
  }

  @Test("a record that is cut anywhere comes out whole")
  func pieces() throws {
    let records: [ExecRecord] = [
      .input(Array(0...200)), .inputEnd, .signal(2), .resize(TerminalSize(rows: 50, columns: 300)),
      .errors([]), .notStarted("no"), .signalled(9), .exited(255),
    ]
    let bytes = records.flatMap(\.encoded)
    for step in [1, 2, 3, 7, 100] {
      var reader = RecordReader(most: 1000)
      var found: [ExecRecord] = []
      for start in stride(from: 0, to: bytes.count, by: step) {
        reader.append(Array(bytes[start..<min(start + step, bytes.count)]))
        while let (kind, body) = try reader.next() {
          found.append(try ExecRecord(kind: kind, body: body))
        }
      }
      #expect(found == records)
      #expect(reader.isEmpty)
    }
  }
}
