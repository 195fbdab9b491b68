import IorunCore
import Testing

@testable import IorunMesh

/// From when on a link's silence is looked into.
@Suite
struct AcceptedLinkTests {
  /// A link over which something came so often, for a while.
  private func link(every pause: Duration) -> AcceptedLink {
    let peer = PeerID(high: 1, low: 2)
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var link = AcceptedLink(
      id: 1, address: peer, principal: peer, userID: "\(peer)", connection: 1, version: 1, now: now)
    for _ in 0..<40 {
      now = now + pause
      link.hear(now: now)
    }
    return link
  }

  @Test
  func aBusyOneIsQuietSoon() {
    let link = link(every: .milliseconds(200))
    #expect(!link.isQuiet(for: .milliseconds(390)))
    #expect(link.isQuiet(for: .milliseconds(410)))
  }

  @Test
  func oneThatHasHeartbeatsOnlyIsNotQuietBetweenThem() {
    let link = link(every: .seconds(1))
    #expect(!link.isQuiet(for: .milliseconds(1400)))
    #expect(link.isQuiet(for: .milliseconds(1600)))
  }

  @Test
  func noPauseIsTakenForUsualThatIsLongerThanAHeartbeats() {
    let link = link(every: .seconds(3))
    #expect(link.isQuiet(for: .milliseconds(1600)))
  }
}
