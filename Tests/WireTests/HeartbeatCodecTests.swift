import IorunCore
import IorunWire
import TestSupport
import Testing

/// The short way for heartbeats says the same as the long one.
@Suite
struct HeartbeatCodecTests {
  private static let tokens: [UInt64] = [0, 1, 127, 128, 1 << 35, .max]

  private func bytes(_ frames: Frame...) -> [UInt8] {
    frames.reduce(into: []) { FrameCodec.append($1, to: &$0) }
  }

  private func ping(_ bytes: [UInt8]) -> UInt64? { bytes.withUnsafeBytes(HeartbeatCodec.ping) }

  @Test(arguments: tokens)
  func readsWhatFramesWrite(token: UInt64) {
    #expect(ping(bytes(.ping(token: token))) == token)
  }

  @Test(arguments: tokens)
  func writesWhatFramesWrite(token: UInt64) {
    let written = HeartbeatCodec.withPong(token: token) { Array($0) }
    #expect(written == bytes(.pong(token: token)))
  }

  @Test
  func leavesEverythingElse() {
    #expect(ping([]) == nil)
    #expect(ping(bytes(.pong(token: 7))) == nil)
    #expect(ping(bytes(.ping(token: 7), .ping(token: 8))) == nil)
    #expect(
      ping(
        bytes(.hello(protocolVersion: 1, release: "", connection: 1, instance: 0))) == nil)
  }

  /// Whatever is read here, the generated code reads as well, and as the same.
  @Test
  func agreesOnChangedBytes() throws {
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<20_000 {
      var changed = bytes(.ping(token: UInt64.random(in: 0 ... .max, using: &generator)))
      for _ in 0..<Int.random(in: 1...2, using: &generator) {
        let index = Int.random(in: 0..<changed.count, using: &generator)
        changed[index] = UInt8.random(in: 0...255, using: &generator)
      }
      if Bool.random(using: &generator) { changed.removeLast() }
      guard let token = ping(changed) else { continue }
      #expect(try changed.withUnsafeBytes { try FrameCodec.decode($0) } == [.ping(token: token)])
    }
  }
}
