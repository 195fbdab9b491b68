import IorunCore
import Testing

@testable import IorunMesh

/// When the I/O thread lets heartbeats gather.
@Suite
struct HeartbeatPacingTests {
  private var now = MonotonicTime(nanoseconds: 1_000_000_000)
  private var pacing = HeartbeatPacing()

  /// So many heartbeats a second, one a turn, for half a second.
  private mutating func heartbeats(perSecond rate: Int) {
    for _ in 0..<(rate / 2) {
      now = now + .nanoseconds(1_000_000_000 / rate)
      pacing.took(heartbeats: 1, other: false, now: now)
    }
  }

  @Test
  mutating func fewAreAnsweredAtOnce() {
    heartbeats(perSecond: 500)
    #expect(!pacing.pauses)
  }

  @Test
  mutating func manyGather() {
    heartbeats(perSecond: 2000)
    #expect(pacing.pauses)
    pacing.took(heartbeats: 0, other: false, now: now)
    #expect(!pacing.pauses, "a turn without a heartbeat waits for the next one")
  }

  @Test
  mutating func nothingElseWaits() {
    heartbeats(perSecond: 2000)
    pacing.took(heartbeats: 3, other: true, now: now)
    #expect(!pacing.pauses)
    now = now + .milliseconds(5)
    pacing.took(heartbeats: 3, other: false, now: now)
    #expect(!pacing.pauses, "an answer may be on its way")
    now = now + .milliseconds(6)
    pacing.took(heartbeats: 3, other: false, now: now)
    #expect(pacing.pauses)
  }

  @Test
  mutating func endsWithTheCrowd() {
    heartbeats(perSecond: 2000)
    heartbeats(perSecond: 100)
    #expect(!pacing.pauses)
  }
}

/// Routing ids of any length keep their bytes.
@Suite
struct RouteTests {
  @Test(arguments: [0, 1, 4, 5, 7, 8, 9, 255])
  func keepsItsBytes(count: Int) {
    for filling in [UInt8(0), 1, 0xff] {
      let bytes = [UInt8](repeating: filling, count: count)
      let route = bytes.withUnsafeBytes { Route($0) }
      #expect(route.withBytes { Array($0) } == bytes)
    }
  }

  @Test
  func differsByEveryByteAndByLength() {
    let all: [[UInt8]] = [
      [], [0], [0, 0], [1], [0, 1], [1, 0], [UInt8](repeating: 0, count: 7),
      [UInt8](repeating: 0, count: 8), [UInt8](repeating: 0xff, count: 7),
      [UInt8](repeating: 0xff, count: 8),
    ]
    #expect(Set(all.map { bytes in bytes.withUnsafeBytes { Route($0) } }).count == all.count)
  }
}
