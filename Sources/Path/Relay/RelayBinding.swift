public import IorunCore

/// One end's binding at a relay as a value: asks, answers the challenge, and does so again every
/// 10 s, which keeps the NAT's mapping and finds a relay that is gone or has restarted.
public struct RelayBinding: Sendable {
  /// What is to be done.
  public enum Action: Hashable, Sendable {
    /// Send to the relay.
    case send([UInt8], to: SocketAddress)
    /// The relay takes datagrams now, at that address.
    case up(SocketAddress)
    /// It does not answer any more.
    case down
  }

  static let refresh = Duration.seconds(10)
  /// So long after its last word a relay is taken as gone: five questions were not answered.
  static let giveUp = Duration.seconds(15)
  static let repeats: [Duration] = [
    .milliseconds(300), .milliseconds(600), .seconds(1), .seconds(2), .seconds(5),
  ]

  /// What is bound.
  public let pass: RelayPass
  private let addresses: [SocketAddress]
  private var random: SplitMix
  private var nonce: UInt64 = 0
  private var tries = 0
  private var boundAt: Duration?
  /// Where the relay is, once it has answered; another address is tried after each try in vain.
  public private(set) var relay: SocketAddress?
  /// When `tick` next has something to do.
  public private(set) var deadline: Duration = .zero

  /// True while the relay takes datagrams.
  public var isUp: Bool { boundAt != nil }

  /// Makes a binding; the first `tick` begins.
  ///
  /// - Parameters:
  ///   - pass: the pass.
  ///   - addresses: instead of the pass's addresses, where the relay is reached by a shim.
  ///   - seed: drawn at random.
  public init(_ pass: RelayPass, through addresses: [SocketAddress]? = nil, seed: UInt64) {
    self.pass = pass
    self.addresses = Array((addresses ?? pass.addresses).prefix(RelayPass.addressLimit))
    random = SplitMix(state: seed)
  }

  /// Does what is due.
  public mutating func tick(now: Duration) -> [Action] {
    guard now >= deadline, !addresses.isEmpty else { return [] }
    var actions: [Action] = []
    if let at = boundAt, now - at > Self.giveUp {
      boundAt = nil
      relay = nil
      actions.append(.down)
    }
    let wait = Self.repeats[min(tries, Self.repeats.count - 1)]
    let target = relay ?? addresses[tries % addresses.count]
    tries += 1
    nonce = random.next()
    deadline = now + wait
    // The pause between two questions does not put off the end.
    if let at = boundAt { deadline = min(deadline, at + Self.giveUp + .milliseconds(1)) }
    if let bytes = try? RelayPacket.bind(terms, nonce: nonce).bytes(key: []) {
      actions.append(.send(bytes, to: target))
    }
    return actions
  }

  /// Asks again at once: this end's address may have changed.
  public mutating func rebind() {
    tries = 0
    deadline = .zero
  }

  /// A control datagram came. Others than this binding's change nothing.
  public mutating func receive(
    _ datagram: [UInt8], from address: SocketAddress, now: Duration
  ) -> [Action] {
    guard let packet = RelayPacket(datagram) else { return [] }
    switch packet {
    case .challenge(let slot, let echoed, let cookie):
      guard slot == pass.slot, echoed == nonce, addresses.contains(address),
        let bytes = try? RelayPacket.answer(terms, nonce: nonce, cookie: cookie)
          .bytes(key: pass.key)
      else { return [] }
      return [.send(bytes, to: address)]
    case .bound(let slot, let echoed, _):
      guard slot == pass.slot, echoed == nonce, addresses.contains(address),
        RelayPacket.isAuthentic(datagram, key: pass.key)
      else { return [] }
      let isNews = boundAt == nil || relay != address
      boundAt = now
      relay = address
      tries = 0
      deadline = now + Self.refresh
      return isNews ? [.up(address)] : []
    case .probe, .seen, .bind, .answer: return []
    }
  }

  private var terms: RelayPacket.Terms {
    RelayPacket.Terms(
      slot: pass.slot, leg: pass.leg, expiresAt: pass.expiresAt,
      kilobytesPerSecond: pass.kilobytesPerSecond)
  }
}
