public import IorunWire

/// What a distributed actor type wants of its mailbox. A type that does not conform gets one call
/// at a time, in the order in which each caller made them, in the `actor` class.
public protocol MailboxTraits {
  /// The traffic class of calls to this type, and of their replies.
  static var trafficClass: TrafficClass { get }
  /// How many calls run at the same time. Calls start in order, but with more than one they may
  /// overtake each other.
  static var maxConcurrentCalls: Int { get }
  /// True where every method is short and never blocks: calls then run on the transport's own thread,
  /// which answers them without a switch of threads. A method that blocks would block the mesh.
  static var runsOnTransport: Bool { get }
}

extension MailboxTraits {
  /// Calls of actors.
  public static var trafficClass: TrafficClass { .actor }
  /// One at a time.
  public static var maxConcurrentCalls: Int { 1 }
  /// On the pool.
  public static var runsOnTransport: Bool { false }
}
