import Foundation
import Testing

@testable import IorunPoW

@Suite("Rating")
struct RatingTests {
  /// Devices as the reference simulates them: each has a bias of 3 %, each round a noise of 4 %, and
  /// 3 % of the rounds are slowed to 0.3 to 0.95 of their rate by something else.
  private func simulate(
    ratio: Double, devices: Int, seed: UInt64, rule: RateTest.Rule = RateTest.Rule()
  ) -> (verified: Double, failed: Double, mostRounds: Int) {
    var generator = SeededGenerator(state: seed)
    var (verified, failed, mostRounds) = (0, 0, 0)
    for _ in 0..<devices {
      let bias = exp(0.03 * generator.normal())
      var test = RateTest(rule: rule)
      while !test.isOver {
        var rate = ratio * bias * exp(0.04 * generator.normal())
        if Double.random(in: 0..<1, using: &generator) < 0.03 {
          rate *= Double.random(in: 0.3..<0.95, using: &generator)
        }
        test.add(measured: rate, expected: 1)
      }
      if test.decision == .verified { verified += 1 }
      if test.decision == .failed { failed += 1 }
      mostRounds = max(mostRounds, test.rounds)
    }
    return (Double(verified) / Double(devices), Double(failed) / Double(devices), mostRounds)
  }

  /// Wilson's interval (Journal of the American Statistical Association 22, 1927) around a share
  /// that was seen, at three deviations: what is asserted holds for the rule, not for one seed.
  private func bounds(_ share: Double, of count: Int) -> (lower: Double, upper: Double) {
    let (n, z) = (Double(count), 3.0)
    let middle = share + z * z / (2 * n)
    let half = z * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
    return ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))
  }

  @Test("fewer than one in a thousand honest devices fails, and nearly all are verified")
  func honest() {
    let devices = 40_000
    let result = simulate(ratio: 1, devices: devices, seed: 101)
    #expect(bounds(result.failed, of: devices).upper < 0.001)
    #expect(bounds(result.verified, of: devices).lower > 0.99)
  }

  @Test("a device at half of its claim is caught within four rounds, always")
  func half() {
    let result = simulate(ratio: 0.5, devices: 5_000, seed: 102)
    #expect(result.failed == 1)
    #expect(result.mostRounds == 4)
  }

  @Test("a device at 0.8 of its claim is caught in 98 of 100 hours, and hardly ever verified")
  func fourFifths() {
    let devices = 20_000
    let result = simulate(ratio: 0.8, devices: devices, seed: 103)
    #expect(bounds(result.failed, of: devices).lower > 0.98)
    #expect(bounds(result.verified, of: devices).upper < 0.001)
  }

  @Test("without clipping the same test fails honest devices: clipping is what keeps them")
  func clipping() {
    var rule = RateTest.Rule()
    rule.clip = 1e9
    #expect(simulate(ratio: 1, devices: 5_000, seed: 104, rule: rule).failed > 0.01)
  }

  @Test("the thresholds are Wald's")
  func thresholds() {
    let rule = RateTest.Rule()
    #expect(abs(rule.failThreshold - 9.21) < 0.01)
    #expect(abs(rule.passThreshold + 6.91) < 0.01)
    // One round can never decide, whatever it says.
    #expect(rule.evidence(log(1e-9)) == 3)
    #expect(rule.evidence(log(1.0)) == -3)
  }

  @Test("rates that are no rates count as the slowest, and a decision stays")
  func absurdRates() {
    for rate in [Double.nan, -1, 0, -Double.infinity] {
      var test = RateTest()
      for _ in 0..<6 { test.add(measured: rate, expected: 1) }
      #expect(test.decision == .failed)
      #expect(test.rounds == 4)
      test.add(measured: 1, expected: 1)
      #expect(test.decision == .failed)
    }
    var test = RateTest()
    test.add(measured: 1, expected: 0)
    #expect(test.rounds == 0)
  }

  @Test("what is carried into the next epoch is bounded")
  func carried() {
    #expect(RateTest(carried: -100).evidence == -3)
    #expect(RateTest(carried: 100).evidence == 3)
    #expect(RateTest(carried: .nan).evidence == 0)
  }

  @Test("a device far above its claim is another model")
  func mismatch() {
    var test = RateTest()
    for _ in 0..<3 { test.add(measured: 1.3, expected: 1) }
    #expect(test.decision == .verified)
    #expect(test.isMismatch)
    var honest = RateTest()
    for _ in 0..<3 { honest.add(measured: 1.02, expected: 1) }
    #expect(!honest.isMismatch)
  }
}
