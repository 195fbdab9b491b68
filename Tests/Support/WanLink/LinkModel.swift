/// One direction of an emulated link: decides what becomes of each packet. A pure value, whose
/// time and randomness come from outside: equal seeds and packets have equal fates.
///
/// A packet waits for the line, occupies it for as long as its bits take, is lost by chance on the
/// way, and arrives half a round trip (and jitter) after its last bit has left.
public struct LinkModel: Sendable {
  /// What becomes of a packet.
  public enum Fate: Hashable, Sendable {
    /// It arrives at this time.
    case arrives(at: Duration)
    /// It is lost on the way, by chance.
    case lost
    /// The line has too much to send already.
    case overflowed
  }

  /// What Ethernet adds to each packet: preamble, header, checksum and gap. It also bounds how many
  /// tiny packets a line takes in a second.
  static let framingBytes = 38

  private let settings: LinkSettings
  private var random: SplitMix
  private var lineIsFree = Duration.zero
  private var lastArrival = Duration.zero

  /// Makes an idle line. Give each direction a seed of its own.
  public init(_ settings: LinkSettings, seed: UInt64) {
    self.settings = settings
    random = SplitMix(state: seed)
  }

  /// Sends a packet.
  ///
  /// - Parameters:
  ///   - bytes: the IP packet's length.
  ///   - now: the time on any clock that starts at or above zero and does not go back.
  public mutating func send(bytes: Int, at now: Duration) -> Fate {
    // Both are drawn for every packet, so that one setting does not change what another does.
    let chance = random.fraction()
    let late = random.fraction()
    let start = max(now, lineIsFree)
    guard start - now <= settings.queue else { return .overflowed }
    let bits = Double(bytes + Self.framingBytes) * 8
    lineIsFree = start + .nanoseconds(Int64(bits / Double(settings.bitsPerSecond) * 1e9))
    guard chance >= settings.loss else { return .lost }
    var arrival = lineIsFree + settings.roundTrip / 2 + settings.jitter * late
    if settings.keepsOrder { arrival = max(arrival, lastArrival) }
    lastArrival = max(arrival, lastArrival)
    return .arrives(at: arrival)
  }
}
