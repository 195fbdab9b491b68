import TestSupport
import Testing

@testable import IorunPath

/// Datagrams on a byte stream that anybody may open.
@Suite(.timeLimit(.minutes(2)))
struct StreamFramesTests {
  @Test(
    "changed streams are refused or read, the same in whatever pieces they come",
    arguments: 0..<4 as Range<UInt64>)
  func fuzz(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var refused = 0
    for _ in 0..<1000 {
      var sender = StreamFrames(expectsPreface: false)
      for _ in 0..<4 {
        let datagram = random.bytes(Int.random(in: 1...300, using: &random))
        let isQueued = sender.send(datagram[...])
        #expect(isQueued)
      }
      var bytes = sender.outgoing
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = .random(
          in: .min ... .max, using: &random)
      }
      // The same stream at once and in pieces: the same datagrams, or refused both times.
      var whole = StreamFrames(expectsPreface: true)
      let atOnce = whole.receive(bytes[...]).map { $0.map(Array.init) }
      var pieces = StreamFrames(expectsPreface: true)
      var (found, left): ([[UInt8]]?, ArraySlice<UInt8>) = ([], bytes[...])
      while !left.isEmpty, found != nil {
        let piece = left.prefix(Int.random(in: 1...200, using: &random))
        left = left.dropFirst(piece.count)
        if let more = pieces.receive(piece) { found? += more.map(Array.init) } else { found = nil }
      }
      #expect(atOnce == found)
      if atOnce == nil { refused += 1 }
      let read = atOnce?.reduce(0) { $0 + $1.count + 2 } ?? 0
      #expect(read <= bytes.count - StreamFrames.preface.count)
    }
    #expect(refused > 0 && refused < 1000)
  }
}
