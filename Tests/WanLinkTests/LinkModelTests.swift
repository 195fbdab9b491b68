import Testing

@testable import WanLink

struct `A link's model` {
  private static let packet = 1500
  private static let seeds: [UInt64] = [1, 2, 0xFFFF_FFFF_FFFF_FFFF]

  /// Sends packets at equal distances and returns each one's time on the way, `nil` where dropped.
  private func travel(
    _ settings: LinkSettings, seed: UInt64 = 1, packets: Int, every gap: Duration
  ) -> [Duration?] {
    var model = LinkModel(settings, seed: seed)
    return (0..<packets).map { index in
      let sent = gap * index
      let fate = model.send(bytes: Self.packet, at: sent)
      guard case .arrives(let arrival) = fate else { return nil }
      return arrival - sent
    }
  }

  @Test func `delays each packet by half the round trip and its own length on the line`() {
    let settings = LinkSettings(roundTrip: .milliseconds(100), bitsPerSecond: 10_000_000)
    let lineTime = Duration.nanoseconds((1500 + LinkModel.framingBytes) * 8 * 100)
    for time in travel(settings, packets: 100, every: .milliseconds(2)) {
      #expect(time == .milliseconds(50) + lineTime)
    }
  }

  @Test(arguments: seeds)
  func `adds jitter from nothing to its most, in both halves`(seed: UInt64) {
    let settings = LinkSettings(roundTrip: .milliseconds(20), jitter: .milliseconds(8))
    let times = travel(settings, seed: seed, packets: 1000, every: .milliseconds(20))
      .compactMap(\.self)
    #expect(times.count == 1000)
    #expect(times.allSatisfy { (.milliseconds(10)..<(.milliseconds(18.1))).contains($0) })
    let late = times.count { $0 > .milliseconds(14) }
    #expect((400...600).contains(late), "seed \(seed)")
  }

  @Test(arguments: seeds)
  func `keeps the order of packets under jitter, unless it is told not to`(seed: UInt64) {
    func arrivals(keepsOrder: Bool) -> [Duration] {
      let settings = LinkSettings(jitter: .milliseconds(10), keepsOrder: keepsOrder)
      let times = travel(settings, seed: seed, packets: 500, every: .milliseconds(1))
      return times.enumerated().map { .milliseconds($0) + $1! }
    }
    let kept = arrivals(keepsOrder: true)
    #expect(kept == kept.sorted())
    let free = arrivals(keepsOrder: false)
    #expect(free != free.sorted(), "seed \(seed)")
  }

  @Test(arguments: seeds, [0.01, 0.2])
  func `loses as large a part of the packets as it is told`(seed: UInt64, loss: Double) {
    let times = travel(
      LinkSettings(loss: loss), seed: seed, packets: 20_000, every: .milliseconds(1))
    let lost = Double(times.count { $0 == nil })
    // Five standard deviations of the binomial distribution.
    let slack = 5 * (20_000 * loss * (1 - loss)).squareRoot()
    #expect(abs(lost - 20_000 * loss) < slack, "seed \(seed), loss \(loss): \(lost)")
  }

  @Test func `loses none or all where that is asked`() {
    #expect(travel(LinkSettings(), packets: 1000, every: .milliseconds(1)).allSatisfy { $0 != nil })
    let all = travel(LinkSettings(loss: 1), packets: 1000, every: .milliseconds(1))
    #expect(all.allSatisfy { $0 == nil })
  }

  @Test func `has equal fates for equal seeds and others for another`() {
    let settings = LinkSettings(jitter: .milliseconds(3), loss: 0.3)
    let one = travel(settings, seed: 7, packets: 200, every: .milliseconds(1))
    #expect(one == travel(settings, seed: 7, packets: 200, every: .milliseconds(1)))
    #expect(one != travel(settings, seed: 8, packets: 200, every: .milliseconds(1)))
  }

  @Test func `loses the same packets whatever the jitter`() {
    let calm = travel(LinkSettings(loss: 0.3), packets: 200, every: .milliseconds(1))
    let jumpy = travel(
      LinkSettings(jitter: .milliseconds(9), loss: 0.3), packets: 200, every: .milliseconds(1))
    #expect(calm.map { $0 == nil } == jumpy.map { $0 == nil })
  }

  @Test func `carries no more than its rate`() {
    let settings = LinkSettings(bitsPerSecond: 8_000_000, queue: .seconds(100))
    // 800 packets at once are 1.23 MB with their framing, at 1 MB a second.
    let times = travel(settings, packets: 800, every: .zero).compactMap(\.self)
    #expect(times.count == 800)
    let expected = Duration.microseconds(800 * (1500 + LinkModel.framingBytes))
    #expect(times.max() == expected)
  }

  @Test func `drops what would wait longer than its queue, and recovers`() {
    let settings = LinkSettings(
      roundTrip: .milliseconds(10), bitsPerSecond: 8_000_000, queue: .milliseconds(50))
    var model = LinkModel(settings, seed: 1)
    let fates = (0..<1000).map { _ in model.send(bytes: Self.packet, at: .zero) }
    let carried = fates.prefix { $0 != .overflowed }.count
    // 50 ms of 1 MB a second, and the one that is on the line.
    #expect(carried == 50_000 / (1500 + LinkModel.framingBytes) + 1)
    #expect(fates.dropFirst(carried).allSatisfy { $0 == .overflowed })
    #expect(model.send(bytes: Self.packet, at: .milliseconds(60)) != .overflowed)
  }
}
