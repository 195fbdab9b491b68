import IorunCore
import TestSupport
import Testing

@testable import IorunContract

@Suite("One end of a stream")
struct StreamStateTests {
  @Test("nothing is sent above the other side's limit, and a limit never shrinks")
  func credit() {
    var state = StreamState(sendLimit: 100, window: 10)
    #expect(state.credit == 100)
    #expect(state.reserve(60) == 0)
    #expect(state.reserve(40) == 60)
    #expect(state.credit == 0)
    state.allow(150)
    state.allow(120)
    #expect(state.credit == 50)
  }

  @Test("parts in any order are read in order, for 200 seeds")
  func order() throws {
    for seed in 0..<200 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let text = generator.bytes(Int.random(in: 1...500, using: &generator))
      var parts: [(offset: Int, bytes: [UInt8], isLast: Bool)] = []
      var start = 0
      while start < text.count {
        let count = min(text.count - start, Int.random(in: 1...40, using: &generator))
        parts.append((start, Array(text[start..<start + count]), start + count == text.count))
        start += count
      }
      parts.shuffle(using: &generator)
      var state = StreamState(sendLimit: 0, window: 500)
      var read: [UInt8] = []
      for part in parts {
        try state.receive(part.bytes, at: UInt64(part.offset), isLast: part.isLast)
        while state.isReadable, !state.isDrained {
          guard let bytes = state.take(upTo: Int.random(in: 1...30, using: &generator)) else {
            break
          }
          read += bytes
        }
      }
      #expect(read == text, "seed \(seed)")
      #expect(state.isDrained, "seed \(seed)")
    }
  }

  @Test("the window opens by what was read, and no sooner")
  func window() throws {
    var state = StreamState(sendLimit: 0, window: 10)
    try state.receive([UInt8](repeating: 1, count: 10), at: 0, isLast: false)
    var limit = state.grantedLimit()
    #expect(limit == nil)
    #expect(throws: IorunError.self) { try state.receive([1], at: 10, isLast: false) }
    let part = state.take(upTo: 6)
    #expect(part?.count == 6)
    limit = state.grantedLimit()
    #expect(limit == 16)
    try state.receive([UInt8](repeating: 2, count: 6), at: 10, isLast: false)
    #expect(throws: IorunError.self) { try state.receive([1], at: 16, isLast: false) }
  }

  @Test(
    "what no honest peer sends is refused",
    arguments: [
      [(0, 5, false), (0, 5, false)],  // twice
      [(0, 5, false), (3, 5, false)],  // overlap
      [(0, 5, true), (5, 1, false)],  // behind the end
      [(0, 5, true), (5, 0, true)],  // ended twice
      [(0, 0, false)],  // nothing
      [(0, 101, false)],  // too much
      [(10, 5, false), (12, 5, false), (0, 10, false)],  // early parts that overlap
    ])
  func hostile(parts: [(Int, Int, Bool)]) {
    var state = StreamState(sendLimit: 0, window: 100)
    #expect(throws: IorunError.self) {
      for (offset, count, isLast) in parts {
        try state.receive([UInt8](repeating: 0, count: count), at: UInt64(offset), isLast: isLast)
      }
    }
    #expect(throws: IorunError.self) {
      try state.receive([1, 2], at: UInt64.max, isLast: false)
    }
  }

  @Test("parts out of turn are bounded in number")
  func early() {
    var state = StreamState(sendLimit: 0, window: 1 << 20)
    #expect(throws: IorunError.self) {
      for index in 0...StreamState.mostEarlyParts {
        try state.receive([0], at: UInt64(2 + 2 * index), isLast: false)
      }
    }
  }
}
