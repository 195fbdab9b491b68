import Testing

@testable import IorunMesh

/// How long a sender waits for an acknowledgement.
struct RetransmissionTimerTests {
  @Test func `before anything was measured the wait is a second`() {
    #expect(RetransmissionTimer().timeout == .seconds(1))
  }

  @Test func `a first round trip sets the estimate of RFC 6298`() {
    var timer = RetransmissionTimer()
    timer.measured(.milliseconds(400))
    #expect(timer.smoothedRoundTrip == .milliseconds(400))
    #expect(timer.timeout == .milliseconds(1200))
  }

  @Test func `the wait is never below nor above its bounds`() {
    var timer = RetransmissionTimer()
    for _ in 0..<50 { timer.measured(.microseconds(50)) }
    #expect(timer.timeout == RetransmissionTimer.minimum)
    for _ in 0..<200 { timer.expired() }
    #expect(timer.timeout == RetransmissionTimer.maximum)
    timer.measured(.seconds(60))
    #expect(timer.timeout == RetransmissionTimer.maximum)
  }

  @Test func `each timeout doubles the wait, and a measurement or a new path ends that`() {
    var timer = RetransmissionTimer()
    timer.expired()
    #expect(timer.timeout == .seconds(2))
    timer.expired()
    #expect(timer.timeout == .seconds(4))
    timer.pathIsBack()
    #expect(timer.timeout == .seconds(1))
    timer.expired()
    timer.measured(.milliseconds(100))
    #expect(timer.timeout == .milliseconds(300))
  }
}
