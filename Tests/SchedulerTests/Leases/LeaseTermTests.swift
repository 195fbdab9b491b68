import IorunScheduler
import Testing

@Suite("A committed hour and an open tail")
struct LeaseTermTests {
  @Test("the hour is never taken back, and the tail only where it is opportunistic")
  func hour() {
    let lease = LeaseTerm(startedAtSeconds: 1000, isOpportunistic: true)
    #expect(!lease.mayBePreempted(atSeconds: 1000))
    #expect(!lease.mayBePreempted(atSeconds: 4599.999))
    #expect(lease.mayBePreempted(atSeconds: 4600))
    let kept = LeaseTerm(startedAtSeconds: 1000, isOpportunistic: false)
    #expect(!kept.mayBePreempted(atSeconds: 1e9))
  }

  @Test("time that went back, or is none, takes nothing back")
  func backwards() {
    let lease = LeaseTerm(startedAtSeconds: 10_000, isOpportunistic: true)
    for now in [9_999, 0, -1e12, -Double.infinity, .nan] {
      #expect(!lease.mayBePreempted(atSeconds: now), "\(now)")
    }
    // Taken back once time has passed the hour again, and no sooner.
    #expect(lease.mayBePreempted(atSeconds: 13_600))
    for seconds in [-1, -Double.infinity, .nan] {
      #expect(ServiceLevel.level(ofAttainedSeconds: seconds) == 0, "\(seconds)")
    }
    let never = LeaseTerm(startedAtSeconds: .nan, isOpportunistic: true)
    #expect(!never.mayBePreempted(atSeconds: 1e9))
  }
}
