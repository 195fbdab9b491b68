internal import IorunCore
internal import Logging

/// Tells why a node and its head do not get together: at once where the reason is a new one, and
/// once a minute while it lasts. It is tried twice a second.
struct HeadComplaint {
  private static let pause = Duration.seconds(60)

  private var last: (reason: String, time: ContinuousClock.Instant)?

  /// The head could not be spoken to.
  mutating func tell(_ error: any Error, to logger: Logger) {
    let refusals: [IorunError.Code] = [.notAllowed, .keyNotAdmitted, .peerRevoked]
    let isRefusal = (error as? IorunError).map { refusals.contains($0.code) } ?? false
    let reason = "the head \(isRefusal ? "refuses this node" : "is out of reach"): \(error)"
    let now = ContinuousClock.now
    if let last, last.reason == reason, now - last.time < Self.pause { return }
    last = (reason, now)
    logger.warning("\(reason)")
  }
}
