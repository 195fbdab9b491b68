internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPath
internal import Logging

/// A node's search for paths: says where the node is, answers those whom the head sends, and keeps
/// the list of the ways that there are.
actor NodePathAgent: PathDeskService {
  /// How often reflectors are asked anew: NATs forget after 30 s at the earliest.
  static let gatherEvery = Duration.seconds(25)
  /// How often own addresses are looked at.
  static let lookEvery = Duration.seconds(5)
  /// The same while links to other nodes are being made.
  static let lookSoon = Duration.seconds(1)
  /// How often the head is told, where nothing has changed.
  static let reportEvery = Duration.seconds(20)
  /// How often it is measured what packets the way out carries whole; at once where addresses change.
  static let measureMTUEvery = Duration.seconds(600)
  /// How long a way that the head asked for is kept.
  static let meetingLife = Duration.seconds(600)
  static let meetingLimit = 256

  nonisolated let head: PeerID
  nonisolated let headAddress: String
  private let rendezvous: Rendezvous
  private let logger: Logger
  private let links: DirectLinks
  private let sessions: SessionPaths
  private let socket: UDPSocket
  private let place: PathPlace
  private var relays: [RelayOffer] = []
  private var meetings: [PeerID: ContinuousClock.Instant] = [:]
  /// Ways of gangs' tunnels, by whoever keeps them.
  private var others: [String: @Sendable () async -> [PathSummary]] = [:]
  private var own: [SocketAddress] = []
  /// The largest packet that reaches the nearest relay whole, since the addresses were these.
  private(set) var pathMTU: Int?
  private var measuredMTUAt: ContinuousClock.Instant?
  private var gatheredAt: ContinuousClock.Instant?
  private var told: (report: PathReport, at: ContinuousClock.Instant)?

  init(
    head: PeerID, headAddress: String, rendezvous: Rendezvous, links: DirectLinks, logger: Logger
  ) throws {
    self.links = links
    self.head = head
    self.headAddress = headAddress
    self.rendezvous = rendezvous
    self.logger = logger
    socket = try UDPSocket()
    place = PathPlace(
      keeper: PathKeeper(channel: socket, key: try X25519()), headAddress: headAddress)
    sessions = SessionPaths(place: place, logger: logger)
  }

  /// Looks, asks and reports until the task is cancelled.
  func run() async {
    await place.keeper.start()
    await links.attach(sessions)
    while !Task.isCancelled {
      await look()
      let pause = await links.areBeingMade ? Self.lookSoon : Self.lookEvery
      guard (try? await Task.sleep(for: pause)) != nil else { break }
    }
    await place.stop()
    socket.shut()
  }

  /// The relays, as far as the head has told them.
  var knownRelays: [RelayOffer] { relays }

  /// The relays; asks the head where none is known yet.
  func freshRelays() async -> [RelayOffer] {
    if relays.isEmpty { relays = (try? await rendezvous.relays()) ?? [] }
    return relays
  }

  /// The passes to the other nodes of a gang.
  nonisolated func gangPasses(_ job: JobID, attempt: Int) async throws -> [GangPass] {
    try await rendezvous.gangPasses(job, attempt: attempt)
  }

  /// Adds ways to what is reported, under a name; `nil` takes them out.
  func setOthers(_ name: String, _ ways: (@Sendable () async -> [PathSummary])?) {
    others[name] = ways
  }

  /// What stands before this node.
  var natClass: NATClass { get async { await place.natClass } }

  func meet(_ offer: PathOffer, caller: PeerID) async throws {
    guard caller == head else {
      throw IorunError(.notAllowed, "only the head brings peers together")
    }
    let now = ContinuousClock.now
    for (peer, since) in meetings where now - since > Self.meetingLife {
      meetings[peer] = nil
      await place.remove(peer.description)
    }
    guard meetings[offer.peer] != nil || meetings.count < Self.meetingLimit else {
      throw IorunError(.overloaded, "this node looks for \(meetings.count) paths already")
    }
    meetings[offer.peer] = now
    try await place.add(offer.peer.description, offer) { _ in }
  }

  func echo(caller: PeerID) async throws {
    guard caller == head else {
      throw IorunError(.notAllowed, "only the head asks for an echo")
    }
  }

  private func look() async {
    let now = ContinuousClock.now
    let addresses = OwnAddresses.all(port: socket.port)
    let isDue = gatheredAt.map { now - $0 > Self.gatherEvery } ?? true
    do {
      if isDue || addresses != own {
        if addresses != own { measuredMTUAt = nil }
        own = addresses
        relays = try await rendezvous.relays()
        await place.gather(relays)
        gatheredAt = now
      }
      await links.tend()
      let seeks = await links.seeks
      let report = PathReport(
        end: await place.end, relayRoundTripsMilliseconds: await place.roundTrips,
        paths: Array(await summaries().prefix(PathSummary.limit)), link: await links.end(),
        seeks: seeks.isEmpty ? nil : seeks)
      if let told, told.report.saysTheSame(as: report), now - told.at < Self.reportEvery { return }
      let offers = try await rendezvous.report(report)
      told = (report, now)
      await links.set(offers)
      await measureMTU(now)
    } catch {
      // The head is away, or older than this: asked again with the next look.
      logger.debug("the head was not told of this node's paths: \(error)")
    }
  }

  private func measureMTU(_ now: ContinuousClock.Instant) async {
    guard measuredMTUAt.map({ now - $0 > Self.measureMTUEvery }) ?? true else { return }
    let times = await place.roundTrips
    let nearest = await place.complete(relays).min {
      times[$0.id.description, default: .infinity] < times[$1.id.description, default: .infinity]
    }
    guard let nearest, times[nearest.id.description] != nil else { return }
    measuredMTUAt = now
    pathMTU = await place.keeper.findMTU(to: nearest.target)
  }

  private func summaries() async -> [PathSummary] {
    var all: [PathSummary] = []
    for peer in meetings.keys {
      guard let status = await place.keeper.status(peer.description) else { continue }
      all.append(PathSummary(peer, purpose: "ping", status))
    }
    for ways in others.values { all += await ways() }
    all += await links.summaries()
    return all
  }
}

extension PathSummary {
  /// Describes a way as its keeper sees it.
  init(_ peer: PeerID, purpose: String, _ status: PathStatus) {
    self.init(
      peer: peer, purpose: purpose, isDirect: status.route?.isDirect,
      roundTripMilliseconds: status.roundTrip.map { $0 / .milliseconds(1) },
      address: status.route?.address.description)
  }
}

extension PathReport {
  /// True where another one has no news: round trips always differ a little.
  func saysTheSame(as other: PathReport) -> Bool {
    func essence(_ paths: [PathSummary]) -> Set<PathSummary> {
      Set(
        paths.map { path in
          var path = path
          path.roundTripMilliseconds = nil
          return path
        })
    }
    return end == other.end && link == other.link && seeks == other.seeks
      && essence(paths) == essence(other.paths)
      && Set(relayRoundTripsMilliseconds.keys) == Set(other.relayRoundTripsMilliseconds.keys)
  }
}
