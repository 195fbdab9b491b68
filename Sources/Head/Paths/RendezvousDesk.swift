internal import IorunContract
internal import IorunCore
internal import IorunPath

/// Brings peers together: knows the relays, where nodes say that they are, and who may reach whom.
actor RendezvousDesk: RendezvousService {
  /// Reaches one node's search for paths.
  typealias DeskLookup = @Sendable (PeerID) throws -> any PathDeskService

  /// How long a report counts.
  static let reportLife = Duration.seconds(60)
  /// How long a client's meeting with a node is kept.
  static let meetingLife = Duration.seconds(600)
  /// Meetings of one caller at once.
  static let meetingLimit = 64

  private struct Report {
    var report: PathReport
    var heardAt: Duration
  }

  private let head: PeerID
  private let director: JobDirector
  private let cluster: ClusterDirector
  private let directory: NodeDirectory
  private let authoriser: Authoriser
  private let clock: HeadClock
  private let desk: DeskLookup
  private var book: RelayBook
  private var reports: [PeerID: Report] = [:]
  private var meetings: [RelayBook.Pair: Duration] = [:]
  /// Pairs of nodes whose sessions go by datagrams, and when one of the two last asked for that.
  private var sessions: [RelayBook.Pair: Duration] = [:]
  private var ownBytes: (@Sendable () -> [UInt32: UInt64])?

  init(
    head: PeerID, director: JobDirector, cluster: ClusterDirector, directory: NodeDirectory,
    authoriser: Authoriser, clock: HeadClock, firstSlot: UInt32, desk: @escaping DeskLookup
  ) {
    self.head = head
    self.director = director
    self.cluster = cluster
    self.directory = directory
    self.authoriser = authoriser
    self.clock = clock
    self.desk = desk
    book = RelayBook(firstSlot: firstSlot)
  }

  /// The head's own relay serves.
  func addOwn(_ server: RelayServer, streamPort: UInt16) throws {
    try book.addOwn(head, port: server.port, streamPort: streamPort, secret: server.secret)
    ownBytes = { server.takeBytes() }
  }

  func relays(caller: PeerID) async throws -> [RelayOffer] {
    try authoriser.check(caller, may: .seeNetwork)
    sweep(await director.gangNames())
    return book.offers(head: head)
  }

  func offerRelay(_ registration: RelayRegistration, caller: PeerID) async throws {
    try authoriser.check(caller, may: .offerNode)
    try book.add(registration, of: caller, now: clock.elapsed())
  }

  func report(_ report: PathReport, caller: PeerID) async throws -> [LinkOffer] {
    try authoriser.check(caller, may: .offerNode)
    try report.end.check()
    try Self.check(report.relayRoundTripsMilliseconds)
    let isBounded = report.paths.allSatisfy { path in
      path.purpose.utf8.count <= 128 && path.address?.utf8.count ?? 0 <= 64
        && path.roundTripMilliseconds?.isFinite ?? true
    }
    guard report.paths.count <= PathSummary.limit, isBounded,
      report.seeks?.count ?? 0 <= LinkOffer.limit
    else {
      throw IorunError(.malformed, "a node's report of its paths is out of bounds")
    }
    // Only nodes are looked for, so only theirs is kept; the directory bounds how many there are.
    guard await directory.node(caller) != nil else { return [] }
    if let link = report.link {
      guard try PeerDirectory.id(of: link.key) == caller,
        link.addresses.count <= LinkEnd.addressLimit
      else { throw IorunError(.malformed, "a node's link names a key that is not its own") }
    }
    reports[caller] = Report(report: report, heardAt: clock.elapsed())
    let names = Dictionary(
      uniqueKeysWithValues: book.relays.keys.map { ($0.description, $0) })
    await director.map.landmarks(
      Dictionary(
        uniqueKeysWithValues: report.relayRoundTripsMilliseconds.compactMap { name, trip in
          names[name].map { ($0, trip) }
        }), of: caller)
    // All that take part in runtime jobs have business with each other.
    let members = await cluster.memberPeers
    return try links(
      of: caller, members: members, gangs: await director.gangMates(of: caller))
  }

  /// The nodes that share a runtime job or a gang with one.
  private func links(
    of node: PeerID, members: Set<PeerID>, gangs: Set<PeerID>
  ) throws -> [LinkOffer] {
    let now = clock.elapsed()
    let mates = (members.contains(node) ? members : []).union(gangs).subtracting([node])
    let seeks = Set(reports[node]?.report.seeks ?? [])
    return try mates.sorted().prefix(LinkOffer.limit).compactMap { mate in
      guard let kept = reports[mate], now - kept.heardAt < Self.reportLife,
        let link = kept.report.link
      else { return nil }
      let isSought = seeks.contains(mate) || kept.report.seeks?.contains(node) ?? false
      return LinkOffer(
        peer: mate, end: link, dials: node < mate,
        path: isSought ? try path(from: node, to: mate, kept.report, now) : nil)
    }
  }

  /// What a node is told of another one to find a path of datagrams to it.
  private func path(
    from node: PeerID, to mate: PeerID, _ report: PathReport, _ now: Duration
  ) throws -> PathOffer {
    let pair = RelayBook.Pair("session", node, mate)
    sessions[pair] = now
    let own = reports[node]?.report.relayRoundTripsMilliseconds ?? [:]
    let given = try book.relay(of: pair, own, report.relayRoundTripsMilliseconds, head: head)
      .flatMap {
        try book.pass(pair, for: node, relay: $0, unixSeconds: UInt64(max(0, clock.now())))
      }
    return PathOffer(
      peer: mate, name: mate.short, end: report.end, relay: given?.pass,
      relayPort: given?.relay.port ?? 0,
      relayStreamPort: given?.relay.registration.streamPort ?? 0, isCaller: node == pair.lower)
  }

  func meet(
    _ node: PeerID, _ end: PathEnd, relayRoundTripsMilliseconds: [String: Double], caller: PeerID
  ) async throws -> PathOffer {
    try end.check()
    try Self.check(relayRoundTripsMilliseconds)
    let name = try await check(caller, mayReach: node)
    guard let report = reports[node]?.report else {
      throw IorunError(
        .unreachable, "node \(name) has not said where it is yet",
        remedy: "Try again in a few seconds; old versions of iorun never say so")
    }
    let now = clock.elapsed()
    meetings = meetings.filter { now - $0.value < Self.meetingLife }
    let pair = RelayBook.Pair("ping \(caller.short)", caller, node)
    guard meetings.keys.count(where: { $0.purpose == pair.purpose }) < Self.meetingLimit else {
      throw IorunError(.overloaded, "this client looks for too many paths at once")
    }
    meetings[pair] = now
    let relay = book.best(
      relayRoundTripsMilliseconds, report.relayRoundTripsMilliseconds, head: head)
    func offer(to receiver: PeerID, about other: PeerID, _ name: String, _ end: PathEnd) throws
      -> PathOffer
    {
      let given = try relay.flatMap {
        try book.pass(
          pair, for: receiver, relay: $0, unixSeconds: UInt64(max(0, clock.now())))
      }
      return PathOffer(
        peer: other, name: name, end: end, relay: given?.pass, relayPort: given?.relay.port ?? 0,
        relayStreamPort: given?.relay.registration.streamPort ?? 0,
        isCaller: receiver == pair.lower)
    }
    let theirs = try offer(to: node, about: caller, caller.short, end)
    let mine = try offer(to: caller, about: node, name, report.end)
    try await desk(node).meet(theirs, caller: head)
    return mine
  }

  func echo(_ node: PeerID, caller: PeerID) async throws -> Double {
    _ = try await check(caller, mayReach: node)
    let start = clock.elapsed()
    try await desk(node).echo(caller: head)
    return (clock.elapsed() - start) / .milliseconds(1)
  }

  func gangPasses(_ job: JobID, attempt: Int, caller: PeerID) async throws -> [GangPass] {
    try authoriser.check(caller, may: .offerNode)
    let nodes = await director.gangNodes(job, attempt: attempt)
    guard nodes.contains(caller) else {
      throw IorunError(.notAllowed, "this node has no rank of attempt \(attempt) of \(job)")
    }
    // Whoever asks again has lost its relay: one that is gone must not be given once more.
    sweep(await director.gangNames())
    let own = reports[caller]?.report.relayRoundTripsMilliseconds ?? [:]
    return try nodes.enumerated().compactMap { number, node in
      guard node != caller else { return nil }
      let other = reports[node]?.report.relayRoundTripsMilliseconds ?? [:]
      let pair = RelayBook.Pair(Self.purpose(job, attempt), caller, node)
      guard let relay = book.relay(of: pair, own, other, head: head),
        let given = try book.pass(
          pair, for: caller, relay: relay, unixSeconds: UInt64(max(0, clock.now())))
      else { return nil }
      return GangPass(
        node: number, peer: node, pass: given.pass, relayPort: given.relay.port,
        relayStreamPort: given.relay.registration.streamPort)
    }
  }

  func paths(caller: PeerID) async throws -> [NodePaths] {
    let role = try authoriser.check(caller, may: .seeNetwork)
    let own = role == .operator ? [] : await director.gangNames(of: caller)
    let now = clock.elapsed()
    return reports.filter { now - $0.value.heardAt < Self.reportLife }
      .sorted { $0.key < $1.key }
      .map { node, kept in
        // Whose gangs run where is for the operator to see, for the node, and for whose they are.
        let sees = role == .operator || node == caller
        let shown = kept.report.paths.filter { sees || own.contains($0.purpose) }
        return NodePaths(node: node, natClass: kept.report.end.natClass, paths: shown)
      }
  }

  private static func check(_ roundTrips: [String: Double]) throws {
    guard roundTrips.count <= RelayBook.limit,
      roundTrips.values.allSatisfy({ $0.isFinite && $0 >= 0 })
    else { throw IorunError(.malformed, "round trips to relays are out of bounds") }
  }

  /// A gang's name in `PathSummary.purpose` and in what relays counted.
  static func purpose(_ job: JobID, _ attempt: Int) -> String { "\(job)/\(attempt)" }

  private func check(_ caller: PeerID, mayReach node: PeerID) async throws -> String {
    let role = try authoriser.check(caller, may: .seeNetwork)
    guard let snapshot = await directory.node(node) else {
      throw IorunError(.notFound, "there is no such node", remedy: "List them with `iorun nodes`")
    }
    // A node's addresses are for the operator, for whoever has a rank there, and for nodes that
    // share a gang with it.
    let isAllowed: Bool
    if role == .operator || caller == node {
      isAllowed = true
    } else {
      isAllowed = await director.shares(caller, with: node)
    }
    guard isAllowed else {
      throw IorunError(
        .notAllowed, "nothing of yours runs on node \(snapshot.facts.name)",
        remedy: "Ask an operator, or try again while a job of yours runs there")
    }
    return snapshot.facts.name
  }

  private func sweep(_ gangs: Set<String>) {
    if let ownBytes { book.count(ownBytes()) }
    let now = clock.elapsed()
    reports = reports.filter { now - $0.value.heardAt < Self.reportLife * 10 }
    sessions = sessions.filter { now - $0.value < Self.reportLife * 2 }
    book.sweep(now: now) { pair in
      gangs.contains(pair.purpose) || sessions[pair] != nil
        || meetings[pair].map { now - $0 < Self.meetingLife } ?? false
    }
  }
}

extension JobDirector {
  /// The nodes of a live gang in the order of their lowest ranks: the order of their numbers.
  func gangNodes(_ job: JobID, attempt: Int) -> [PeerID] {
    guard let lifecycle = live[job]?.lifecycle, lifecycle.record.attempt == attempt else {
      return []
    }
    var nodes: [PeerID] = []
    for rank in lifecycle.ranks.sorted(by: { $0.rank < $1.rank }) where !nodes.contains(rank.node) {
      nodes.append(rank.node)
    }
    return nodes
  }

  /// The other nodes of the gangs that have a rank on a node.
  func gangMates(of node: PeerID) -> Set<PeerID> {
    var mates: Set<PeerID> = []
    for id in jobs(on: node) {
      for rank in live[id]?.lifecycle.ranks ?? [] where !rank.isEnded { mates.insert(rank.node) }
    }
    return mates
  }

  /// All live gangs, as relays' slots name them.
  func gangNames() -> Set<String> {
    Set(live.map { RendezvousDesk.purpose($0.key, $0.value.lifecycle.record.attempt) })
  }

  /// The caller's live gangs, as relays' slots name them.
  func gangNames(of owner: PeerID) -> Set<String> {
    Set(
      live.filter { $0.value.lifecycle.record.owner == owner }
        .map { RendezvousDesk.purpose($0.key, $0.value.lifecycle.record.attempt) })
  }

  /// Whether a rank of the caller's runs on a node, or the caller is a node of one of its gangs.
  func shares(_ caller: PeerID, with node: PeerID) -> Bool {
    jobs(on: node).contains { id in
      guard let lifecycle = live[id]?.lifecycle else { return false }
      return lifecycle.record.owner == caller
        || lifecycle.ranks.contains { $0.node == caller && !$0.isEnded }
    }
  }
}
