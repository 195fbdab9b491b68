internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// One look at the whole queue: the nodes, what of them is still free, and what was refused so far.
struct PlacementRound {
  /// What is known of the network.
  private(set) var live: LiveInventory
  /// What is left for the jobs that are looked at next.
  private var book: NodeInventory
  /// Nodes of which something was taken or given back.
  private var touched: Set<PeerID> = []
  /// True once what becomes free is held for a gang: nobody after it takes any, but who is bound to end
  /// before the gang can start.
  var isHolding: Bool { hold != nil }
  /// What is free beside and under the hold, and when the gang can start at the latest.
  private var hold: (book: NodeInventory, shadowSeconds: Double)?

  private struct Ask: Hashable {
    let question: PlacementQuestion
    let excluding: Set<PeerID>
  }
  /// The same request gets the same refusal until something is freed.
  private var refused: [Ask: Bool] = [:]
  private var explained: [Ask: PlacementRefusal] = [:]
  /// What specs ask, with all nodes that they bar; many jobs ask the same.
  private var requests: [PlacementQuestion: GangRequest] = [:]
  private var plain: Inventory?

  private let authoriser: Authoriser

  init(_ live: consuming LiveInventory, _ authoriser: Authoriser) {
    self.authoriser = authoriser
    book = live.takeBook()
    self.live = live
  }

  /// What is left, by the names of nodes.
  var offers: [NodeOffer] { book.offers }
  var nodes: [PeerID: NodeSnapshot] { live.nodes }
  /// Decides from scratch, where all nodes are looked at anyway.
  var placer: GangPlacer { book.placer }
  var sites: NodeSites { book.sites }

  /// The round is over: what is known of the network from here on, and of which nodes it took something
  /// or gave something back.
  consuming func finish() -> (known: LiveInventory, touched: Set<PeerID>) {
    live.giveBack(hold?.book ?? book)
    return (live, touched)
  }

  /// The nodes as a list; what is free of them is in `offers`.
  mutating func inventory() -> Inventory {
    if let plain { return plain }
    let inventory = live.plain(book)
    plain = inventory
    return inventory
  }

  private func question(_ record: JobRecord) -> PlacementQuestion {
    PlacementQuestion(record.spec, of: owner(of: record), ranks: record.ranks)
  }

  /// Whose job it is.
  func owner(of record: JobRecord) -> JobOwner { authoriser.owner(record.owner) }

  /// What a job asks of the scheduler, with every node that it bars.
  mutating func request(_ record: JobRecord, excluding: Set<PeerID> = []) -> GangRequest {
    let owner = owner(of: record)
    let question = PlacementQuestion(record.spec, of: owner, ranks: record.ranks)
    var request =
      requests[question] ?? inventory().request(record.spec, of: owner, ranks: record.ranks)
    requests[question] = request
    request.excluding = excluding
    return request
  }

  /// Places for a job: without the nodes that were lost under it, and with them where that cannot be.
  mutating func search(_ record: JobRecord) -> NodeInventory.Answer {
    let careful = place(record, excluding: record.lostNodes)
    guard careful == .refused(fitsWhenIdle: false), !record.lostNodes.isEmpty else {
      return careful
    }
    return place(record, excluding: [])
  }

  private mutating func place(
    _ record: JobRecord, excluding: Set<PeerID>
  ) -> NodeInventory.Answer {
    let ask = Ask(
      question: question(record), excluding: excluding)
    if let fitsWhenIdle = refused[ask] { return .refused(fitsWhenIdle: fitsWhenIdle) }
    let terms = live.terms(of: record.spec, by: owner(of: record))
    let answer = book.place(
      Inventory.request(record.spec, ranks: record.ranks, excluding: excluding),
      terms: terms.number, bars: terms.bars)
    if case .refused(let fitsWhenIdle) = answer { refused[ask] = fitsWhenIdle }
    return answer
  }

  /// Places for a gang that lost nodes; `nil` where nothing near those that are left is free.
  mutating func mend(_ record: JobRecord) -> MendedGang? {
    let terms = live.terms(of: record.spec, by: owner(of: record))
    let gang = GangMending(
      request: Inventory.request(record.spec, ranks: record.ranks, excluding: []),
      seats: record.course.seats.map {
        GangMending.Seat(rank: $0.rank, node: $0.node, gpuIndices: $0.gpuIndices)
      },
      lostNodes: record.course.lostNodes, maxRTTMilliseconds: record.longestRoundTrip,
      onLoss: record.spec.gang.terms?.onLoss, leastRanks: record.spec.gang.terms?.leastRanks ?? 1)
    return book.mend(gang, terms: terms.number, bars: terms.bars).map {
      MendedGang($0, record, nodes: nodes)
    }
  }

  /// Why a job that `search` refused waits, in words.
  mutating func refusal(of record: JobRecord) -> PlacementRefusal {
    var ask = Ask(
      question: question(record), excluding: record.lostNodes)
    // The last refusal counts, as in `search`.
    if refused[ask] == false { ask = Ask(question: ask.question, excluding: []) }
    if let refusal = explained[ask] { return refusal }
    let request = request(record, excluding: ask.excluding)
    guard case .refused(let refusal) = placer.place(request, on: offers) else {
      return PlacementRefusal(
        explanation: "what was free has just been taken", fitsWhenIdle: true)
    }
    explained[ask] = refusal
    return refusal
  }

  /// Why a job's places are what they are.
  func choice(
    _ placement: GangPlacement, of record: JobRecord, spares: [JobCourse.Seat]
  ) -> PlacementChoice {
    PlacementChoice(
      placement, of: record.spec, sites: sites,
      isPacked: book.packing != nil && record.ranks == 1,
      spares: spares.map { seat in
        .init(node: seat.node, nodeName: nodes[seat.node]?.facts.name ?? seat.node.short)
      })
  }

  /// These places are given away.
  mutating func take(_ seats: some Sequence<JobCourse.Seat>, of resources: ResourceSet) {
    for seat in seats {
      touched.insert(seat.node)
      book.take(resources, gpus: seat.gpuIndices, on: seat.node)
      hold?.book.take(resources, gpus: seat.gpuIndices, on: seat.node)
    }
  }

  /// These places are free again.
  mutating func release(_ seats: some Sequence<JobCourse.Seat>, of resources: ResourceSet) {
    for seat in seats {
      touched.insert(seat.node)
      book.release(resources, gpus: seat.gpuIndices, on: seat.node)
      hold?.book.release(resources, gpus: seat.gpuIndices, on: seat.node)
    }
    forgetRefusals()
  }

  private mutating func forgetRefusals() { (refused, explained) = ([:], [:]) }

  /// What becomes free from now on is held for a gang, where it is not for another.
  ///
  /// - Parameter releases: until when what runs now may run.
  mutating func hold(for request: GangRequest, releases: [NodeReservation.Release]) {
    let shadow = NodeReservation.shadowSeconds(
      of: request, on: offers, releases: releases, placer: placer)
    // One hold a round: who is refused after it waits.
    guard hold == nil else { return }
    hold = (book, shadow)
    let kept = NodeHold.offers(offers, keeping: request)
    book.update(zip(offers, kept).compactMap { $0 == $1 ? nil : $1 })
    forgetRefusals()
  }

  /// Places for a job under the hold: where it is bound to end before the gang can start.
  mutating func backfill(_ record: JobRecord, endsBySeconds end: Double) -> GangPlacement? {
    guard let shadow = hold?.shadowSeconds, end <= shadow, shadow.isFinite else { return nil }
    let terms = live.terms(of: record.spec, by: owner(of: record))
    let answer = hold?.book.place(
      Inventory.request(record.spec, ranks: record.ranks, excluding: record.lostNodes),
      terms: terms.number, bars: terms.bars)
    guard case .placed(let placement) = answer else { return nil }
    return placement
  }

  /// Places beside the gang for ranks that may be lost, as many as there are up to `count`: on other
  /// nodes, and as near as the gang asked to be.
  mutating func spares(
    _ count: Int, beside members: [GangPlacement.Member], of record: JobRecord
  ) -> [JobCourse.Seat] {
    let used = Set(members.map(\.node))
    var request = request(record, excluding: record.lostNodes.union(used))
    var limit = Float.infinity
    if case .site(let most) = request.placement {
      limit = most.map { Float($0) } ?? sites.longest(among: used) ?? .infinity
    }
    if limit < .infinity {
      for offer in offers {
        let isNear = used.allSatisfy { node in
          sites.roundTrip(offer.node, node).map { $0 <= limit } ?? false
        }
        if !isNear { request.excluding.insert(offer.node) }
      }
    }
    request.placement = .spread
    request.fallbacks = []
    for ranks in stride(from: count, to: 0, by: -1) {
      request.ranks = ranks
      guard case .placed(let placement) = placer.place(request, on: offers) else { continue }
      return placement.members.map {
        JobCourse.Seat(rank: nil, node: $0.node, gpuIndices: $0.gpuIndices)
      }
    }
    return []
  }
}
