internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import IorunScheduler

/// What the head knows of the ways between nodes: measured where it was, foretold by coordinates where
/// it was not. Decides whom each node measures next, within a budget.
actor NetworkMap {
  /// How often a node tells and asks. With three probes of about 300 bytes to each of four peers that
  /// is some 400 bytes a second of a node, whatever the size of the network.
  static let interval = Duration.seconds(10)
  private static let targets = 4
  /// How many a node measures at once where gangs wait for that, and how soon it then tells.
  private static let urgentTargets = 8
  private static let urgentInterval = Duration.seconds(1)
  private static let mostPeers = 64
  private static let mostProbes = 8
  /// What a node sends to see how fast bytes go to a peer, twice; how often it does that at most, and
  /// how long the result counts: at most 70 kbit/s of a node, whatever the size of the network.
  static let bulkBytes = 256 << 10
  static let bulkInterval = Duration.seconds(60)
  static let bulkLife = Duration.seconds(3600)

  private let directory: NodeDirectory
  private let clock: HeadClock
  private let head: PeerID
  private var matrix = RoundTripMatrix()
  private var throughputs = ThroughputMatrix()
  private var bulkAt: [PeerID: Duration] = [:]
  /// Pairs that gangs wait for.
  private var wanted = ProbeBook()
  private var coordinates: [PeerID: NetworkCoordinate] = [:]
  private var landmark: NetworkCoordinate
  /// How far nodes are from relays.
  private var landmarks = Landmarks()
  private var siteMap = SiteMap()
  /// The numbers under which the map of sites knows nodes.
  private var numbers: [PeerID: Int] = [:]
  private var nextNumber = 0
  private var knownSites: NodeSites?
  private var knownTiers: (tiers: [PeerID: ConnectivityTier], at: Duration)?
  /// What nodes claim of their places, under which name, and whose they are.
  private var claims: [PeerID: Claim] = [:]
  private var suppliers: [String: UInt32] = [:]

  private struct Claim: Hashable {
    var name: String
    var supplier: String
    var place: DevicePlace
  }

  init(head: PeerID, directory: NodeDirectory, clock: HeadClock) {
    self.head = head
    self.directory = directory
    self.clock = clock
    // The head stands still at the origin, and is sure of that.
    landmark =
      NetworkCoordinate(position: SIMD8(repeating: 0), heightMilliseconds: 0.01, error: 0.1)
      ?? NetworkCoordinate()
  }

  /// Takes what a node measured, and says whom it is to measure next. A node speaks of its own ways
  /// only.
  ///
  /// - Throws: `malformed` for more than was asked for.
  func take(_ measurements: NodeMeasurements, from node: PeerID) async throws -> ProbeOrders {
    guard measurements.peers.count <= Self.mostPeers,
      measurements.peers.allSatisfy({ $0.milliseconds.count <= Self.mostProbes })
    else {
      throw IorunError(
        .malformed, "a node tells more measurements than it was asked for",
        remedy: "Use the same version of iorun on the node and the head")
    }
    let now = clock.elapsed()
    let nodes = await directory.snapshot()
    let known = Set(nodes.map(\.id)).union([head])
    for peer in measurements.peers where known.contains(peer.peer) {
      for sample in peer.milliseconds {
        matrix.take(node, peer.peer, milliseconds: sample.map { Float($0) }, at: now)
      }
      if let megabits = peer.megabitsPerSecond {
        throughputs.take(
          from: node, to: peer.peer, megabitsPerSecond: Float(megabits), at: now)
      }
    }
    for peer in measurements.peers where peer.peer != head && known.contains(peer.peer) {
      wanted.told(node, of: peer.peer, now: now)
      // Queues of a busy machine are no distance.
      guard let relayed = matrix.entry(node, peer.peer)?.least else { continue }
      let trip = believable(peer.hostMilliseconds, from: node, to: peer.peer, relayed: relayed)
      // Of a pair that was lost this time, what is known is no fresh word.
      let isFresh = peer.milliseconds.contains { $0 != nil }
      siteMap.measured(
        number(of: node), number(of: peer.peer), milliseconds: trip ?? relayed,
        atSeconds: isFresh ? now.inSeconds : nil)
    }
    let told = measurements.coordinate
    // What travelled is looked at once more: a coordinate that cannot be is forgotten.
    coordinates[node] = NetworkCoordinate(
      position: told.position, heightMilliseconds: told.heightMilliseconds, error: told.error)
    if let coordinate = coordinates[node] { siteMap.located(number(of: node), at: coordinate) }
    knownSites = nil
    let alive = nodes.filter { $0.state == .alive && $0.id != node }.map(\.id)
    let addresses = Self.publicAddresses(nodes)
    let isAlive = Set(alive)
    let urgent = wanted.targets(of: node, count: Self.urgentTargets, now: now)
      .filter(isAlive.contains)
    let others = matrix.stalest(alive, for: node, count: Self.targets)
      .filter { !urgent.contains($0) }
    let next = urgent + others.prefix(max(0, Self.targets - urgent.count))
    let bulk = urgent.isEmpty ? bulkTarget(of: node, among: next, now) : nil
    let interval = urgent.isEmpty ? Self.interval : Self.urgentInterval
    return ProbeOrders(
      targets: next.map {
        .init(
          peer: $0, coordinate: coordinates[$0] ?? NetworkCoordinate(), address: addresses[$0],
          bulkBytes: $0 == bulk ? Self.bulkBytes : nil)
      },
      landmark: landmark, intervalMilliseconds: Int(interval / .milliseconds(1)))
  }

  /// Has pairs of nodes measured that were not lately: their nodes are told when they tell next.
  ///
  /// - Returns: those of which the sites are as far from each other as is known, and those that could
  ///   not be measured.
  func freshen(_ pairs: Set<ProbePair>, until: Duration) -> Set<ProbePair> {
    let now = clock.elapsed()
    return pairs.filter { pair in
      if isFresh(pair, now) { return true }
      wanted.want(pair, until: until, now: now)
      return false
    }
  }

  private func isFresh(_ pair: ProbePair, _ now: Duration) -> Bool {
    let life = Duration.seconds(SiteMap.sampleLifeSeconds)
    if let tried = wanted.triedAt(pair), now - tried <= life { return true }
    guard let one = siteOf(pair.lower), let other = siteOf(pair.higher) else { return false }
    if one == other { return true }
    let measuredAt = siteMap.measuredAtSeconds(one, other)
    return measuredAt.map { now.inSeconds - $0 <= SiteMap.sampleLifeSeconds } ?? false
  }

  /// To whom a node sends bytes this time: to one that it reaches, where that was not tried lately.
  private func bulkTarget(of node: PeerID, among peers: [PeerID], _ now: Duration) -> PeerID? {
    guard bulkAt[node].map({ now - $0 >= Self.bulkInterval }) ?? true else { return nil }
    let target = peers.first { peer in
      matrix.entry(node, peer) != nil
        && throughputs.entry(from: node, to: peer).map { now - $0.measuredAt >= Self.bulkLife }
          ?? true
    }
    if target != nil { bulkAt[node] = now }
    return target
  }

  /// How fast bytes went from one node to another, in millions of bits a second; `nil` where that
  /// was not measured within the last hour or two. On a long way it is what a short burst gets, and so
  /// less than a long transfer.
  func throughput(from one: PeerID, to other: PeerID) -> Float? {
    throughputs.entry(from: one, to: other).flatMap { entry in
      clock.elapsed() - entry.measuredAt < Self.bulkLife * 2 ? entry.megabitsPerSecond : nil
    }
  }

  /// How fast bytes went out of nodes and into them when that was tried last: the medians over those
  /// with whom it was tried.
  func throughputs(of nodes: [PeerID]) -> [PeerID: ThroughputMatrix.Medians] {
    throughputs.medians(of: Set(nodes), since: clock.elapsed() - Self.bulkLife * 2)
  }

  /// How fast nodes' ways were measured to be, for those of which both directions were.
  var tiers: [PeerID: ConnectivityTier] {
    let now = clock.elapsed()
    if let knownTiers, now - knownTiers.at < Self.interval { return knownTiers.tiers }
    let medians = throughputs.medians(
      of: Set(coordinates.keys), since: now - Self.bulkLife * 2)
    let tiers = medians.compactMapValues { rates -> ConnectivityTier? in
      guard let sends = rates.sends, let receives = rates.receives else { return nil }
      return ConnectivityTier(downMegabits: Double(receives), upMegabits: Double(sends))
    }
    knownTiers = (tiers, now)
    return tiers
  }

  /// A node told how far it is from relays, in milliseconds.
  func landmarks(_ told: [PeerID: Double], of node: PeerID) {
    landmarks.take(told, of: node)
    knownSites = nil
  }

  /// The round trip between two nodes in milliseconds: the median of the last measurements, else what
  /// relays and coordinates foretell; `nil` where nothing is known.
  func roundTrip(_ one: PeerID, _ other: PeerID) -> Float? {
    if let entry = matrix.entry(one, other) { return entry.median }
    let foretold = coordinates[one].flatMap { here in
      coordinates[other].map { here.expectedMilliseconds(to: $0) }
    }
    return landmarks.estimate(one, other, foretold: foretold)
  }

  /// How much the ways of a machine to the same place differ from one look to the next.
  private static let twinMilliseconds: Float = 0.3

  /// Nodes that are as far from the head and from each of two relays or more as another of their site:
  /// they may be one machine.
  var latencyTwins: [PeerID: Set<PeerID>] {
    var twins: [PeerID: Set<PeerID>] = [:]
    for site in Dictionary(grouping: numbers.keys, by: { siteOf($0) }) where site.key != nil {
      let nodes = site.value.filter { landmarks.trips(of: $0).count >= 2 }
      for (index, one) in nodes.enumerated() {
        for other in nodes[(index + 1)...] where areTwins(one, other) {
          twins[one, default: []].insert(other)
          twins[other, default: []].insert(one)
        }
      }
    }
    return twins
  }

  private func siteOf(_ node: PeerID) -> Int? { numbers[node].flatMap { siteMap.site(of: $0) } }

  private func areTwins(_ one: PeerID, _ other: PeerID) -> Bool {
    let (here, there) = (landmarks.trips(of: one), landmarks.trips(of: other))
    let differences = here.compactMap { landmark, near in there[landmark].map { abs(near - $0) } }
    guard differences.count >= 2, let near = matrix.entry(one, head)?.least,
      let far = matrix.entry(other, head)?.least
    else { return false }
    return (differences + [abs(near - far)]).allSatisfy { $0 <= Self.twinMilliseconds }
  }

  /// What was measured between two nodes.
  func measured(_ one: PeerID, _ other: PeerID) -> RoundTripMatrix.Entry? {
    matrix.entry(one, other)
  }

  /// What nodes measured on their way to the head.
  func linksToHead(of nodes: [PeerID]) -> [PeerID: RoundTripMatrix.Entry] {
    var links: [PeerID: RoundTripMatrix.Entry] = [:]
    for node in nodes { links[node] = matrix.entry(node, head) }
    return links
  }

  /// Where a node finds itself.
  func coordinate(of node: PeerID) -> NetworkCoordinate? { coordinates[node] }

  /// Forgets nodes that are gone.
  func forget(_ node: PeerID) {
    matrix.forget(node)
    throughputs.forget(node)
    bulkAt[node] = nil
    coordinates[node] = nil
    claims[node] = nil
    landmarks.forget(node)
    wanted.forget(node)
    if let number = numbers.removeValue(forKey: node) { siteMap.remove(number) }
    knownSites = nil
  }

  /// A node says where it is. What was measured of it stays where it says the same as before.
  func claim(_ facts: NodeFacts, name: String, supplier: String, node: PeerID) {
    let told = facts.claims ?? NodeClaims()
    let point = told.latitude.flatMap { latitude in
      told.longitude.flatMap { GeoPoint(latitude: Float(latitude), longitude: Float($0)) }
    }
    let claim = Claim(
      name: name, supplier: supplier,
      place: DevicePlace(country: told.country ?? "", city: told.city ?? "", point: point))
    guard claims[node] != claim else { return }
    claims[node] = claim
    if let known = numbers[node] {
      siteMap.add(
        known, place: claim.place, supplier: number(ofSupplier: supplier),
        coordinate: coordinates[node])
      for (other, number) in numbers where other != node {
        guard let least = matrix.entry(node, other)?.least else { continue }
        siteMap.measured(known, number, milliseconds: least)
      }
    } else {
      _ = number(of: node)
    }
    knownSites = nil
  }

  /// The claims of places that are not believed, and the evidence, for a person.
  var placeDoubts: [PeerID: String] {
    let verdicts = siteMap.contradictedPlaces
    guard !verdicts.isEmpty else { return [:] }
    let nodes = Dictionary(numbers.map { ($1, $0) }) { $1 }
    var doubts: [PeerID: String] = [:]
    for (number, verdict) in verdicts {
      guard let node = nodes[number] else { continue }
      let (word, evidence) =
        switch verdict {
        case .isFalse(let evidence): ("its place is false", evidence)
        case .isDoubtful(let evidence): ("its place, or another's, is false", evidence)
        }
      guard let first = evidence.first else { continue }
      let witness = nodes[first.witness].flatMap { claims[$0]?.name } ?? "another node"
      doubts[node] =
        "\(word): \(tenths(first.measuredMilliseconds)) ms to \(witness), which is "
        + "\(Int(first.claimedKilometres)) km away by their claims; light in fibre takes "
        + "\(tenths(first.leastMilliseconds)) ms"
    }
    return doubts
  }

  private func tenths(_ number: Float) -> Float { (number * 10).rounded() / 10 }

  private func number(ofSupplier supplier: String) -> UInt32 {
    if let known = suppliers[supplier] { return known }
    suppliers[supplier] = UInt32(truncatingIfNeeded: suppliers.count)
    return suppliers[supplier, default: 0]
  }

  /// The sites that nodes are in, and the round trips between them. Where neither measurements nor
  /// coordinates tell one, it is the way over the head or the nearest relay, which every node can take.
  var sites: NodeSites {
    if let knownSites { return knownSites }
    let siteOf = numbers.compactMapValues { siteMap.site(of: $0) }
    // From each site to the head and to relays.
    var toLandmarks: [Int: [PeerID: Float]] = [:]
    for (node, site) in siteOf {
      var told = landmarks.trips(of: node)
      if let trip = matrix.entry(node, head)?.least {
        told[head] = min(trip, told[head] ?? .infinity)
      }
      toLandmarks[site, default: [:]].merge(told, uniquingKeysWith: min)
    }
    var trips = siteMap.matrix
    for (one, here) in toLandmarks {
      for (other, there) in toLandmarks where one < other {
        let known = trips[one, other]
        // What is usual between countries foretells; this way every node can take.
        guard known == .infinity || siteMap.roundTrip(one, other).source <= .prior else { continue }
        let ways = here.compactMap { landmark, near in there[landmark].map { near + $0 } }
        if let least = ways.min(), least < known { trips.replace(one, other, with: least) }
      }
    }
    let sites = NodeSites(siteOf: siteOf, matrix: trips)
    knownSites = sites
    return sites
  }

  /// The round trip to a host, where it can be the peer's: not longer than the proved way by the head,
  /// and not so short that the peer could not be as far from the head as it is.
  private func believable(
    _ milliseconds: Double?, from node: PeerID, to peer: PeerID, relayed: Float
  ) -> Float? {
    guard let milliseconds, milliseconds.isFinite, milliseconds > 0 else { return nil }
    let trip = Float(milliseconds)
    guard trip <= relayed else { return nil }
    guard let here = matrix.entry(node, head)?.least, let there = matrix.entry(peer, head)?.least
    else { return trip }
    // Half: the triangle rule is often broken a little, and delays of busy machines differ.
    return trip >= abs(here - there) / 2 - Self.slackMilliseconds ? trip : nil
  }

  private static let slackMilliseconds: Float = 5

  private static func publicAddresses(_ nodes: [NodeSnapshot]) -> [PeerID: String] {
    var addresses: [PeerID: String] = [:]
    for node in nodes {
      guard let address = IPAddress(node.facts.address),
        let place = SocketAddress(address: address.bytes, port: 9), !place.isPrivate,
        !place.isUnusable
      else { continue }
      addresses[node.id] = node.facts.address
    }
    return addresses
  }

  private func number(of node: PeerID) -> Int {
    if let known = numbers[node] { return known }
    let number = nextNumber
    nextNumber += 1
    numbers[node] = number
    // One whose claim is not known yet is nobody's.
    siteMap.add(
      number, place: claims[node]?.place ?? DevicePlace(),
      supplier: self.number(ofSupplier: claims[node]?.supplier ?? node.description),
      coordinate: nil)
    return number
  }
}
