public import IorunCore

/// Asks reflectors what they see of a socket, as a value: each is asked up to four times, then a
/// second time at its other port and once for an answer from there.
public struct NATProbe: Sendable {
  /// A datagram to send.
  public struct Question: Hashable, Sendable {
    /// The bytes.
    public var bytes: [UInt8]
    /// Where to.
    public var address: SocketAddress
  }

  private enum Kind { case plain, otherPort, fromOtherPort }
  private struct Asked {
    var target: Int
    var address: SocketAddress
    var kind: Kind
    var at: Duration
  }

  static let times: [Duration] = [
    .zero, .milliseconds(150), .milliseconds(400), .milliseconds(800),
  ]
  static let limit = Duration.milliseconds(1600)
  static let targetLimit = 16

  private let targets: [ReflectorTarget]
  private let start: Duration
  private var random: SplitMix
  private var asked: [UInt64: Asked] = [:]
  private var next = 0
  private var answered: Set<SocketAddress> = []
  /// What was found so far.
  public private(set) var findings: ReflectorFindings
  /// The best round trip to each target, by its index.
  public private(set) var roundTrips: [Int: Duration] = [:]

  /// Makes a probe that begins with the first `tick`.
  ///
  /// - Parameters:
  ///   - own: the machine's addresses with the socket's port.
  ///   - seed: drawn at random: whoever guesses transactions could make answers up.
  public init(_ targets: [ReflectorTarget], own: [SocketAddress], seed: UInt64, now: Duration) {
    self.targets = Array(targets.prefix(Self.targetLimit))
    start = now
    random = SplitMix(state: seed)
    findings = ReflectorFindings(own: own)
  }

  /// When `tick` next has something to do.
  public var deadline: Duration {
    next < Self.times.count ? start + Self.times[next] : start + Self.limit
  }

  /// True once nothing more is to come, or time is up.
  public func isOver(now: Duration) -> Bool {
    if now >= start + Self.limit { return true }
    guard !targets.isEmpty else { return true }
    let isAllAnswered = targets.allSatisfy { $0.addresses.contains { answered.contains($0) } }
    let waits = asked.values.contains { $0.kind == .otherPort }
    // An answer from the other port may be filtered: that is known only by waiting for it.
    return isAllAnswered && !waits && findings.unaskedPortAnswered == true
      || isAllAnswered && now >= start + .milliseconds(1000)
  }

  /// The questions that are due.
  public mutating func tick(now: Duration) -> [Question] {
    var questions: [Question] = []
    while next < Self.times.count, start + Self.times[next] <= now {
      next += 1
      for (index, target) in targets.enumerated() {
        for address in target.addresses.prefix(4) where !answered.contains(address) {
          questions += question(index, address, .plain, now: now)
        }
      }
    }
    return questions
  }

  /// A control datagram came; further questions follow from it.
  public mutating func receive(
    _ datagram: [UInt8], from address: SocketAddress, now: Duration
  ) -> [Question] {
    guard case .seen(let transaction, let mapped, let otherPort, _) = RelayPacket(datagram),
      let sent = asked[transaction],
      RelayPacket.isAuthentic(datagram, key: targets[sent.target].key)
    else { return [] }
    let isFromThere = address == sent.address
    switch sent.kind {
    case .fromOtherPort:
      if address.address == sent.address.address, !isFromThere {
        findings.unaskedPortAnswered = true
      }
      return []
    case .otherPort, .plain:
      guard isFromThere, asked.removeValue(forKey: transaction) != nil else { return [] }
    }
    let roundTrip = now - sent.at
    roundTrips[sent.target] = min(roundTrips[sent.target] ?? roundTrip, roundTrip)
    findings.answers.append(
      ReflectorFindings.Answer(reflector: address, mapped: mapped, roundTrip: roundTrip))
    guard sent.kind == .plain, answered.insert(address).inserted, otherPort != 0 else { return [] }
    if findings.unaskedPortAnswered == nil { findings.unaskedPortAnswered = false }
    // The silent port is another one: to write to the second port does not open it.
    return question(sent.target, address, .fromOtherPort, now: now)
      + question(sent.target, address.with(port: otherPort), .otherPort, now: now)
  }

  private mutating func question(
    _ target: Int, _ address: SocketAddress, _ kind: Kind, now: Duration
  ) -> [Question] {
    let transaction = random.next()
    asked[transaction] = Asked(target: target, address: address, kind: kind, at: now)
    let packet = RelayPacket.probe(
      transaction: transaction, fromOtherPort: kind == .fromOtherPort, byteCount: 0)
    guard let bytes = try? packet.bytes(key: targets[target].key) else { return [] }
    return [Question(bytes: bytes, address: address)]
  }
}
