import IorunCore
import IorunWire
import Synchronization
import TestSupport
import Testing

@testable import IorunRuntime

/// What processes of a job say to each other, and what they do with bytes that nobody would send.
@Suite struct FrameTests {
  @Test func `a frame comes out of a reader as it was written`() throws {
    var bytes: [UInt8] = []
    let id = HexID<ActorKind>(high: 0x0102_0304_0506_0708, low: 9)
    let object = ObjectID(owner: WorkerID(high: 1, low: 2), counter: 3, index: 4)
    try FrameWriter.append(.call, flags: 1, aux: 2, number: 3, to: &bytes) { frame in
      frame.append(id: id)
      frame.append(object: object)
      frame.append(text: "täst")
      frame.append(block: [1, 2, 3])
    }
    let reader = LocalFrameReader()
    bytes.withUnsafeBytes { reader.append($0) }
    let frame = try #require(try reader.next())
    #expect(frame.header.kind == .call && frame.header.number == 3 && frame.header.aux == 2)
    var cursor = FrameCursor(frame.body)
    let read = try (cursor.id(RuntimeActorID.self), cursor.object(), cursor.text(), cursor.block())
    #expect(read.0 == id && read.1 == object && read.2 == "täst" && read.3 == [1, 2, 3])
    #expect(cursor.isAtEnd)
  }

  @Test func `ids travel as their sixteen bytes`() {
    let id = WorkerID(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)
    var bytes: [UInt8] = []
    bytes.append(id: id)
    #expect(bytes == id.bytes)
  }

  @Test func `a failure keeps all its parts`() throws {
    let failure = Envelope.RemoteFailure(
      code: 1203, message: "m", remedy: "r", cause: "c", typeName: "t", value: [1])
    var bytes: [UInt8] = []
    failure.write(to: &bytes)
    try bytes.withUnsafeBytes { bytes in
      var cursor = FrameCursor(bytes)
      let read = try Envelope.RemoteFailure(&cursor)
      #expect(read == failure)
    }
  }

  @Test(arguments: 0..<20) func `cut and random bodies are malformed and nothing else`(
    seed: UInt64
  ) throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let count = Int.random(in: 0..<80, using: &generator)
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      bytes.withUnsafeBytes { bytes in
        var cursor = FrameCursor(bytes)
        do {
          _ = try Envelope.RemoteFailure(&cursor)
          _ = try cursor.object()
        } catch {
          #expect((error as? IorunError)?.code == .malformed)
        }
      }
    }
  }

  @Test func `a frame beyond the limit is refused and leaves nothing behind`() {
    var bytes: [UInt8] = [7]
    #expect(throws: IorunError.self) {
      try FrameWriter.append(.call, to: &bytes) { frame in
        frame.append(contentsOf: [UInt8](repeating: 0, count: LocalLimits.frameBytes))
      }
    }
  }
}

/// Who waits for an answer of another process.
@Suite struct ReplyTableTests {
  private let peer = WorkerID(high: 1, low: 1)

  @Test func `an answer counts once, and only from who was asked`() async throws {
    let table = ReplyTable()
    let reply = try await withUnsafeThrowingContinuation { waiter in
      let number = table.insert(waiter, from: peer)
      table.complete(number, from: WorkerID(high: 2, low: 2), .nothing)
      #expect(table.count == 1)
      table.complete(number, from: peer, .value(Payload(bytes: [1])))
      table.complete(number, from: peer, .nothing)
      #expect(!table.fail(number, CancellationError()))
    }
    guard case .value(let payload) = reply else {
      Issue.record("another answer")
      return
    }
    #expect(payload.bytes == [1])
    #expect(table.count == 0)
  }

  @Test func `a late answer does not reach who waits in the same place`() async throws {
    let table = ReplyTable()
    let old = Mutex<UInt64>(0)
    await #expect(throws: CancellationError.self) {
      _ = try await withUnsafeThrowingContinuation { waiter in
        let number = table.insert(waiter, from: peer)
        old.withLock { $0 = number }
        table.fail(number, CancellationError())
      }
    }
    let reply = try await withUnsafeThrowingContinuation { waiter in
      let number = table.insert(waiter, from: peer)
      #expect(number != old.withLock { $0 })
      table.complete(old.withLock { $0 }, from: peer, .nothing)
      table.complete(number, from: peer, .value(Payload(bytes: [2])))
    }
    guard case .value = reply else {
      Issue.record("the late answer was taken")
      return
    }
  }

  @Test func `a lost process ends its waits and no others`() async throws {
    let table = ReplyTable()
    let error = IorunError(.processLost, "gone")
    await #expect(throws: error) {
      _ = try await withUnsafeThrowingContinuation { waiter in
        _ = table.insert(waiter, from: peer)
        table.failAll(from: WorkerID(high: 3, low: 3), CancellationError())
        #expect(table.count == 1)
        table.failAll(from: peer, error)
      }
    }
  }
}
