import CTunnel
import TestSupport
import Testing

@Suite struct ReplayWindowTests {
  @Test("each counter is taken once, in any order, as long as it is not too old")
  func ordering() {
    var window = ct_replay()
    func take(_ counter: UInt64) -> Bool { ct_replay_accept(&window, counter) }
    #expect(take(0) && take(1) && take(9) && take(8) && take(7))
    #expect(!take(1) && !take(9) && !take(0))
    #expect(take(8127) && take(2) && !take(2))
    #expect(take(8191) && !take(1) && take(64) && !take(63))
    #expect(take(1 << 20) && !take(8191) && take((1 << 20) - 8127) && !take((1 << 20) - 8128))
    #expect(take(UInt64.max - 1) && !take(UInt64.max - 1) && take(UInt64.max - 2))
  }

  @Test("it does as a set of all counters would, for random ones", arguments: [1, 2, 3])
  func model(_ seed: UInt64) {
    var dice = SeededGenerator(seed: seed)
    var window = ct_replay()
    var seen: Set<UInt64> = []
    var next: UInt64 = 0
    for _ in 0..<20_000 {
      let near = Int.random(in: -9000...60, using: &dice)
      let counter = UInt64(max(0, Int(next) + (dice.next() % 50 == 0 ? 4000 : near)))
      let isOld = next > counter && next - counter > 8128
      let expected = !isOld && !seen.contains(counter)
      #expect(ct_replay_accept(&window, counter) == expected, "\(counter) at \(next), seed \(seed)")
      if expected { seen.insert(counter) }
      if expected { next = max(next, counter + 1) }
    }
  }
}
