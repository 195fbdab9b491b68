internal import IorunContract
internal import IorunCore
internal import IorunPath

/// The relays that there are and the slots that pairs were given, as a value.
struct RelayBook: Sendable {
  /// A relay that does not say within this time that it is there is taken as gone: it says so every
  /// 5 s. Its ends find out by themselves in about the same time.
  static let patience = Duration.seconds(16)
  /// The most relays of a network.
  static let limit = 64
  /// How long a pass is good: as long as a gang may run without asking again.
  static let passLife: UInt64 = 24 * 3600
  /// What a pair may send through a relay in a second, in kB: 1 Gb/s.
  static let kilobytesPerSecond: UInt32 = 125_000

  struct Relay: Sendable {
    var registration: RelayRegistration
    var port: UInt16
    var heardAt: Duration?
    var reflectorKey: [UInt8]
  }

  /// Names a pair: what it is for, and its two ends, the lower one first.
  struct Pair: Hashable, Sendable {
    var purpose: String
    var lower: PeerID
    var higher: PeerID

    init(_ purpose: String, _ one: PeerID, _ other: PeerID) {
      self.purpose = purpose
      (lower, higher) = one < other ? (one, other) : (other, one)
    }
  }

  private(set) var relays: [PeerID: Relay] = [:]
  private var slots: [Pair: UInt32] = [:]
  /// The relay that each pair was given, so that both ends get the same one whenever they ask.
  private var given: [Pair: PeerID] = [:]
  private var pairOf: [UInt32: Pair] = [:]
  private var nextSlot: UInt32
  /// What relays have carried, in bytes, by purpose.
  private(set) var bytes: [String: UInt64] = [:]

  /// - Parameter firstSlot: drawn at random, so that a restarted head does not give a slot that an
  ///   old pair still uses.
  init(firstSlot: UInt32) { nextSlot = firstSlot & RelayPass.lastSlot }

  /// The head's own relay never goes away.
  mutating func addOwn(
    _ head: PeerID, port: UInt16, streamPort: UInt16, secret: [UInt8]
  ) throws {
    relays[head] = Relay(
      registration: RelayRegistration(
        name: "head", addresses: [], streamPort: streamPort, secret: secret, bytes: [:]),
      port: port, heardAt: nil, reflectorKey: try RelayPass.reflectorKey(secret: secret))
  }

  mutating func add(_ registration: RelayRegistration, of peer: PeerID, now: Duration) throws {
    let addresses = registration.addresses
    guard registration.secret.count == 32, (1...RelayPass.addressLimit).contains(addresses.count),
      registration.name.utf8.count <= 128, !addresses.contains(where: \.isUnusable),
      registration.bytes.count <= 65_536
    else {
      throw IorunError(
        .malformed, "a relay names 1 to 8 addresses and a secret of 32 bytes",
        remedy: "Use the same version of iorun on the relay and the head")
    }
    guard relays[peer] != nil || relays.count < Self.limit else {
      throw IorunError(
        .overloaded, "the network has its most of \(Self.limit) relays already",
        remedy: "Stop another relay first")
    }
    count(registration.bytes)
    var kept = registration
    kept.bytes = [:]
    relays[peer] = Relay(
      registration: kept, port: addresses[0].port, heardAt: now,
      reflectorKey: try RelayPass.reflectorKey(secret: registration.secret))
  }

  /// Adds what relays say that they carried.
  mutating func count(_ carried: [UInt32: UInt64]) {
    for (slot, count) in carried {
      guard let pair = pairOf[slot] else { continue }
      let (sum, overflow) = bytes[pair.purpose, default: 0].addingReportingOverflow(count)
      bytes[pair.purpose] = overflow ? .max : sum
    }
  }

  /// Drops relays that are gone, and slots of what is over.
  mutating func sweep(now: Duration, keeping isWanted: (Pair) -> Bool) {
    relays = relays.filter { $0.value.heardAt.map { now - $0 < Self.patience } ?? true }
    for (pair, slot) in slots where !isWanted(pair) {
      slots[pair] = nil
      pairOf[slot] = nil
    }
    given = given.filter { isWanted($0.key) }
    let purposes = Set(slots.keys.map(\.purpose))
    bytes = bytes.filter { purposes.contains($0.key) }
  }

  /// The relays as members are told of them, the head's first.
  func offers(head: PeerID) -> [RelayOffer] {
    relays.sorted { ($0.key != head ? 1 : 0, $0.key) < ($1.key != head ? 1 : 0, $1.key) }
      .map { id, relay in
        RelayOffer(
          id: id,
          target: ReflectorTarget(
            name: relay.registration.name, addresses: relay.registration.addresses,
            streamPort: relay.registration.streamPort, key: relay.reflectorKey),
          port: relay.port)
      }
  }

  /// The relay with the shortest way from one end over it to the other; one that an end has not
  /// measured counts as far.
  func best(_ one: [String: Double], _ other: [String: Double], head: PeerID) -> PeerID? {
    func cost(_ id: PeerID) -> Double {
      let far = 1000.0
      return (one[id.description] ?? far) + (other[id.description] ?? far)
    }
    return relays.keys.min {
      (cost($0), $0 != head ? 1 : 0, $0) < (cost($1), $1 != head ? 1 : 0, $1)
    }
  }

  /// The relay of a pair: the one that it was given before, as long as that is there, so that both
  /// ends meet at it although they ask at different times; else the best one now.
  mutating func relay(
    of pair: Pair, _ one: [String: Double], _ other: [String: Double], head: PeerID
  ) -> PeerID? {
    if let known = given[pair], relays[known] != nil { return known }
    let chosen = best(one, other, head: head)
    given[pair] = chosen
    return chosen
  }

  /// The pass of one end of a pair, and the relay.
  mutating func pass(
    _ pair: Pair, for end: PeerID, relay id: PeerID, unixSeconds: UInt64
  ) throws -> (pass: RelayPass, relay: Relay)? {
    guard let relay = relays[id] else { return nil }
    let slot: UInt32
    if let known = slots[pair] {
      slot = known
    } else {
      guard slots.count < Int(RelayPass.lastSlot) / 2 else {
        throw IorunError(.overloaded, "the network has no relay slots left")
      }
      while pairOf[nextSlot] != nil { nextSlot = (nextSlot + 1) & RelayPass.lastSlot }
      slot = nextSlot
      nextSlot = (nextSlot + 1) & RelayPass.lastSlot
      slots[pair] = slot
      pairOf[slot] = pair
    }
    let pass = try RelayPass(
      secret: relay.registration.secret, addresses: relay.registration.addresses, slot: slot,
      leg: end == pair.lower ? .lower : .higher, expiresAt: unixSeconds + Self.passLife,
      kilobytesPerSecond: Self.kilobytesPerSecond)
    return (pass, relay)
  }
}
