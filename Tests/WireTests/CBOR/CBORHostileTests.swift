import Foundation
import IorunCore
import IorunWire
import TestSupport
import Testing

/// Bytes from a peer that lies: every one gives `malformed` and none a crash.
struct CBORHostileTests {
  private func isMalformed(_ error: any Error) -> Bool {
    (error as? IorunError)?.code == .malformed
  }

  private func refuses<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) {
    #expect(throws: (any Error).self) { try CBORDecoder.decode(type, from: bytes) }
    #expect {
      _ = try CBORDecoder.decode(type, from: bytes)
    } throws: { isMalformed($0) }
  }

  @Test func `a value cut off at any byte is refused`() throws {
    let bytes = try CBOREncoder.encode(Sample())
    for count in 0..<bytes.count {
      #expect {
        _ = try CBORDecoder.decode(Sample.self, from: Array(bytes.prefix(count)))
      } throws: { isMalformed($0) }
    }
  }

  @Test func `bytes after the value are refused`() throws {
    refuses(Int.self, [1, 2])
    refuses(Sample.Nothing.self, [0xbf, 0xff, 0])
  }

  @Test func `random bytes decode or are refused`() async {
    var generator = SeededGenerator(seed: 20)
    let end = ContinuousClock.now + .seconds(30)
    var decoded = 0
    for round in 0..<200_000 where ContinuousClock.now < end {
      // A long loop lets other tests have its thread.
      if round % 500 == 0 { await Task.yield() }
      let bytes = generator.bytes(Int.random(in: 0...24, using: &generator))
      let tries: [() throws -> Void] = [
        { _ = try CBORDecoder.decode([String: Int].self, from: bytes) },
        { _ = try CBORDecoder.decode([[Float]].self, from: bytes) },
        { _ = try CBORDecoder.decode(Nest.self, from: bytes) },
        { _ = try CBORDecoder.decode(Data.self, from: bytes) },
        { _ = try CBORDecoder.decode(Double.self, from: bytes) },
      ]
      do {
        try tries.randomElement(using: &generator)!()
        decoded += 1
      } catch { #expect(error is IorunError, "seed 20, bytes \(bytes): \(error)") }
    }
    #expect(decoded > 0)
  }

  @Test func `a changed byte of a real value decodes or is refused`() async throws {
    let bytes = try CBOREncoder.encode(Sample())
    var generator = SeededGenerator(seed: 21)
    let end = ContinuousClock.now + .seconds(30)
    for round in 0..<3000 where ContinuousClock.now < end {
      if round % 50 == 0 { await Task.yield() }
      var changed = bytes
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        changed[Int.random(in: 0..<changed.count, using: &generator)] =
          UInt8.random(in: .min ... .max, using: &generator)
      }
      do { _ = try CBORDecoder.decode(Sample.self, from: changed) } catch {
        // URL and enums throw errors of their own kind; a crash is what must not be.
        #expect(error is IorunError || error is DecodingError, "seed 21: \(error)")
      }
    }
  }

  @Test func `nesting without end is refused before the stack is`() {
    refuses(Nest.self, [UInt8](repeating: 0x81, count: 1_000_000))
    refuses(Nest.self, [UInt8](repeating: 0x9f, count: 1_000_000))
    refuses(Int.self, [UInt8](repeating: 0xc1, count: 1_000_000))
    refuses(Nest.self, [UInt8](repeating: 0xbf, count: 1000))
  }

  @Test func `lying lengths are refused`() {
    refuses(String.self, [0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x61])
    refuses([UInt8].self, [0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
    refuses([UInt8].self, [0x42, 1])
    refuses([Float].self, [0xd8, 85, 0x43, 1, 2, 3])
    refuses([Float].self, [0xd8, 85, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    refuses([Float].self, [0xd8, 85, 0x81, 1])
  }

  @Test func `lying counts are refused without allocating for them`() {
    refuses([Int].self, [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
    refuses([Int].self, [0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    refuses([String: Int].self, [0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    refuses([Int].self, [0x83, 1, 2])
  }

  @Test func `a key that comes twice is refused`() {
    refuses([String: Int].self, [0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2])
  }

  @Test func `a key that is no text is refused`() {
    refuses([String: Int].self, [0xa1, 1, 1])
  }

  @Test func `invalid UTF-8 is refused`() {
    refuses(String.self, [0x62, 0xc3, 0x28])
    refuses([String: Int].self, [0xa1, 0x61, 0xff, 1])
  }

  @Test func `reserved heads and stray breaks are refused`() {
    for head: UInt8 in [0x1c, 0x1d, 0x1e, 0x1f, 0x3f, 0xdf, 0xfc, 0xff] {
      refuses(Int.self, [head])
    }
    refuses([Int].self, [0x82, 1, 0xff])
    refuses([String: Int].self, [0xbf, 0x61, 0x61, 0xff])
  }

  @Test func `a number out of its type's range is refused`() {
    refuses(UInt8.self, [0x19, 1, 0])
    refuses(Int8.self, [0x38, 128])
    refuses(UInt.self, [0x20])
    refuses(Int64.self, [0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    refuses(Int64.self, [0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
  }

  @Test func `a value of another type is refused`() {
    refuses(Int.self, [0x61, 0x61])
    refuses(String.self, [1])
    refuses(Bool.self, [1])
    refuses([Int].self, [0xa0])
    refuses([String: Int].self, [0x80])
    refuses(Sample.Inner.self, [0xa1, 0x64, 0x6e, 0x61, 0x6d, 0x65, 0x61, 0x61])
  }
}
