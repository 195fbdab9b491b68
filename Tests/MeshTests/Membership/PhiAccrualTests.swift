import IorunMesh
import TestSupport
import Testing

@Suite("The phi accrual failure detector")
struct PhiAccrualTests {
  /// A detector that has heard a peer `count` times, `interval` apart with some jitter.
  private func detector(interval: Double, jitter: Double, count: Int = 200, seed: UInt64 = 1)
    -> (PhiAccrual, last: Duration)
  {
    var random = SeededGenerator(seed: seed)
    var now = 0.0
    var detector = PhiAccrual(expected: .seconds(interval), now: .zero)
    for _ in 0..<count {
      now += interval + Double.random(in: -jitter...jitter, using: &random)
      detector.heard(at: .seconds(now))
    }
    return (detector, .seconds(now))
  }

  @Test("suspicion grows with silence, and is low right after a heartbeat")
  func grows() {
    let (detector, last) = detector(interval: 1, jitter: 0.05)
    var before = -1.0
    for step in 0..<60 {
      let suspicion = detector.suspicion(at: last + .milliseconds(100 * step))
      #expect(suspicion >= before)
      before = suspicion
    }
    #expect(detector.suspicion(at: last) < 0.1)
    #expect(detector.suspicion(at: last + .seconds(1)) < 1)
    #expect(detector.suspicion(at: last + .milliseconds(2300)) > PhiAccrual.threshold)
    #expect(detector.suspicion(at: last + .seconds(3600)) == .infinity)
  }

  @Test("a peer that was heard irregularly is given more time")
  func adapts() {
    let (steady, steadyLast) = detector(interval: 1, jitter: 0.05)
    let (shaky, shakyLast) = detector(interval: 1, jitter: 0.9)
    let silence = Duration.seconds(2.5)
    #expect(steady.suspicion(at: steadyLast + silence) > PhiAccrual.threshold)
    #expect(shaky.suspicion(at: shakyLast + silence) < PhiAccrual.threshold)
  }

  @Test("a far peer's longer intervals are its measure")
  func far() {
    let (detector, last) = detector(interval: 1.4, jitter: 0.1)
    #expect(detector.suspicion(at: last + .seconds(1.9)) < PhiAccrual.threshold)
  }

  @Test("a pause that is allowed delays it, and a stall of this side does not count")
  func forgives() {
    var (detector, last) = detector(interval: 1, jitter: 0.05)
    let silent = last + .milliseconds(2500)
    #expect(detector.suspicion(at: silent, pause: .milliseconds(1500)) < PhiAccrual.threshold)
    detector.forgive(.seconds(2))
    #expect(detector.suspicion(at: silent) < 1)
  }

  @Test("old intervals are forgotten")
  func window() {
    var (detector, last) = detector(interval: 1, jitter: 0.9, seed: 3)
    for _ in 0..<PhiAccrual.windowSize {
      last += .seconds(1)
      detector.heard(at: last)
    }
    #expect(detector.suspicion(at: last + .seconds(2.5)) > PhiAccrual.threshold)
  }
}
