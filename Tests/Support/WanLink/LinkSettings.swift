/// What an emulated WAN link does to packets, the same in both directions.
public struct LinkSettings: Hashable, Sendable {
  /// The time to the other end and back, without jitter and waiting. Each direction takes half.
  public var roundTrip: Duration
  /// Each packet of each direction takes between nothing and this longer: a real path is never
  /// faster than light, only slower by what waits on it.
  public var jitter: Duration
  /// The part of each direction's packets that is lost, from 0 to 1, each on its own.
  public var loss: Double
  /// How fast a direction's line takes packets, with their Ethernet framing; above 0.
  public var bitsPerSecond: Int
  /// How long a packet may wait for the line; one that would wait longer is dropped.
  public var queue: Duration
  /// True where jitter never lets a packet overtake an earlier one.
  public var keepsOrder: Bool

  /// Describes a link; without arguments a perfect one of 1 Gb/s.
  public init(
    roundTrip: Duration = .zero, jitter: Duration = .zero, loss: Double = 0,
    bitsPerSecond: Int = 1_000_000_000, queue: Duration = .milliseconds(100),
    keepsOrder: Bool = true
  ) {
    self.roundTrip = roundTrip
    self.jitter = jitter
    self.loss = loss
    self.bitsPerSecond = bitsPerSecond
    self.queue = queue
    self.keepsOrder = keepsOrder
  }
}
