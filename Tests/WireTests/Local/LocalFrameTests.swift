import Foundation
import IorunCore
import TestSupport
import Testing

@testable import IorunWire

@Suite(.timeLimit(.minutes(2))) struct LocalFrameTests {

  private func frame(_ json: String, blob: [UInt8] = [], number: UInt64 = 7) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try LocalFrames.append(
      kind: .request, aux: LocalOperation.lease.rawValue, number: number, json: json.utf8,
      blob: blob, to: &bytes)
    return bytes
  }

  private func feed(_ reader: LocalFrameReader, _ bytes: some Collection<UInt8>) {
    Array(bytes).withUnsafeBytes { reader.append($0) }
  }

  @Test func theHeaderIsTheDocumentedSixteenBytes() throws {
    let bytes = try frame("{}", blob: [9])
    #expect(
      bytes == [19, 0, 0, 0, 1, 0, 10, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 123, 125, 9])
  }

  @Test func framesComeOutHoweverTheStreamIsCut() throws {
    var generator = SeededGenerator(seed: 42)
    var stream: [UInt8] = []
    for number in 0..<200 {
      let blob = [UInt8](repeating: UInt8(number), count: .random(in: 0..<5000, using: &generator))
      stream += try frame("{\"n\":\(number)}", blob: blob, number: UInt64(number))
    }
    let reader = LocalFrameReader(capacity: 32)
    var seen: UInt64 = 0
    var rest = stream[...]
    while !rest.isEmpty {
      let part = rest.prefix(.random(in: 1..<9000, using: &generator))
      rest = rest.dropFirst(part.count)
      feed(reader, part)
      while let frame = try reader.next() {
        #expect(frame.header.number == seen)
        let message = try LocalMessage(frame.body)
        #expect(message.blob.allSatisfy { $0 == UInt8(seen) })
        #expect(try message.decode([String: Int].self) == ["n": Int(seen)])
        seen += 1
      }
    }
    #expect(seen == 200 && reader.pendingBytes == 0)
  }

  @Test func lengthsOutOfBoundsAreRefused() throws {
    for (length, code) in [
      (UInt32(11), IorunError.Code.malformed), (0, .malformed), (.max, .tooLarge),
      (UInt32(LocalLimits.frameBytes + 1), .tooLarge),
    ] {
      let reader = LocalFrameReader()
      feed(
        reader,
        withUnsafeBytes(of: length.littleEndian) { [UInt8]($0) } + [UInt8](repeating: 0, count: 12))
      #expect { try reader.next() } throws: { ($0 as? IorunError)?.code == code }
    }
  }

  @Test func aMessageWhoseLengthsContradictIsRefused() {
    for body: [UInt8] in [[], [1, 0, 0], [5, 0, 0, 0, 123, 125], [255, 255, 255, 255, 0]] {
      #expect(throws: IorunError.self) { try body.withUnsafeBytes { _ = try LocalMessage($0) } }
    }
  }

  @Test func deepJSONIsRefusedAndBracketsInTextAreNot() throws {
    func message(_ json: String) throws {
      let bytes = [UInt8](try frame(json).dropFirst(LocalHeader.byteCount))
      try bytes.withUnsafeBytes { _ = try LocalMessage($0) }
    }
    try message(String(repeating: "[", count: 32) + String(repeating: "]", count: 32))
    try message("{\"a\":\"" + String(repeating: "[\\\"", count: 500) + "\"}")
    #expect(throws: IorunError.self) { try message(String(repeating: "[", count: 33)) }
  }

  @Test func mutatedStreamsNeverDoHarm() throws {
    let corpus = [
      try frame("{}"), try frame("{\"resources\":{\"CPU\":1},\"strategy\":\"SPREAD\"}"),
      try frame("{\"strategy\":{\"node\":\"00112233445566778899aabbccddeeff\",\"soft\":true}}"),
      try frame("{\"labels\":{\"a\":\"!b\"}}", blob: [1, 2, 3]),
    ]
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<4000 {
      var bytes = corpus.randomElement(using: &generator) ?? []
      for _ in 0..<Int.random(in: 1..<6, using: &generator) {
        let at = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[at] = .random(in: 0...255, using: &generator)
      }
      let reader = LocalFrameReader(capacity: 16)
      feed(reader, bytes)
      // Either a value or one of iorun's own errors; nothing else, and no crash.
      do {
        while let frame = try reader.next() {
          _ = try LocalMessage(frame.body).decode(RuntimeDemand.self)
        }
      } catch is IorunError {}
    }
  }
}
