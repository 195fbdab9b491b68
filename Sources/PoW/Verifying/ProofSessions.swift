/// The sessions that a verifier keeps: one a device, in memory alone. Where there are too many, the one
/// goes that was used longest ago; whoever seals by it then hears `session_unknown`, and signs.
public struct ProofSessions: Sendable {
  private struct Entry {
    var session: ProofSession
    var lastUse: UInt64
  }

  private let maximum: Int
  private var entries: [DeviceID: Entry] = [:]
  private var uses: UInt64 = 0

  /// None yet.
  ///
  /// - Parameters:
  ///   - maximum: the most that are kept, at least 1.
  public init(maximum: Int = 4096) { self.maximum = max(1, maximum) }

  /// How many are kept.
  public var count: Int { entries.count }

  /// Keeps a session, in place of the one that its device had.
  public mutating func keep(_ session: ProofSession) {
    // Looking through all of them takes less than the check of the signature that came before.
    if entries[session.device] == nil, entries.count >= maximum,
      let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })
    {
      entries[oldest.key] = nil
    }
    uses += 1
    entries[session.device] = Entry(session: session, lastUse: uses)
  }

  /// The session of a device in an epoch; `nil` where it is for another, or gone.
  public mutating func session(of device: DeviceID, epoch: Int64) -> ProofSession? {
    guard let session = entries[device]?.session, session.epoch == epoch else { return nil }
    uses += 1
    entries[device]?.lastUse = uses
    return session
  }

  /// Forgets those of epochs before `epoch`, to which no answer can belong any more.
  public mutating func forget(before epoch: Int64) {
    entries = entries.filter { $0.value.session.epoch >= epoch }
  }
}
