internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// What a job would find on the nodes of this moment: the decision that places accepted jobs, on the same
/// inventory, and the ways to run it that go with it.
struct Prospect: Sendable {
  /// What placement would do now.
  let answer: NodeInventory.Answer
  /// Ways to run it; `nil` where it is not placed.
  let table: OfferTable?
  /// The nodes by id, and how far they are from each other.
  let nodes: [PeerID: NodeSnapshot]
  let sites: NodeSites
  /// Whether leftovers decide where single ranks go.
  let isPacking: Bool
  /// All nodes as a list, for words; `nil` where it is placed.
  let plain: Inventory?
  /// What is free of them, by name; empty where it is placed.
  let nodeOffers: [NodeOffer]

  /// Ways to run the job, the one that placement takes first; none where it does not fit.
  func offers(_ spec: JobSpec) -> [PlacementOffer] {
    var offers = table?.offers ?? []
    if let table, !offers.isEmpty {
      offers[0].choice.reasons = choice(table.placement, of: spec).reasons
    }
    return offers.map(offer)
  }

  /// Why a placement is what it is.
  func choice(_ placement: GangPlacement, of spec: JobSpec) -> PlacementChoice {
    PlacementChoice(
      placement, of: spec, sites: sites, isPacked: isPacking && spec.gang.ranks == 1)
  }

  /// A node's name for people.
  func name(of node: PeerID) -> String { nodes[node]?.facts.name ?? node.short }

  private func offer(_ offer: GangOffer) -> PlacementOffer {
    let counts = Dictionary(grouping: offer.choice.members, by: \.device).mapValues(\.count)
    let longest = offer.choice.maxRTTMilliseconds
    return PlacementOffer(
      shares: counts.map { .init(node: $0, nodeName: name(of: $0), ranks: $1) }
        .sorted { ($0.nodeName, $0.node) < ($1.nodeName, $1.node) },
      longestRoundTripMilliseconds: longest.isFinite ? Double(longest) : nil,
      leastRoundTripMilliseconds: Double(offer.choice.lowerBoundMilliseconds),
      microdollarsPerHour: offer.choice.microdollarsPerHour,
      reliability: offer.choice.reliability, words: offer.words, reasons: offer.choice.reasons)
  }
}

extension LiveInventory {
  /// What a job would find now. Reserves nothing.
  mutating func prospect(of spec: JobSpec, by owner: JobOwner) throws(IorunError) -> Prospect {
    let terms = terms(of: spec, by: owner)
    // The inventory's alone meanwhile, so that changes to its rankings copy nothing.
    var book = takeBook()
    defer { giveBack(book) }
    let (nodes, standings) = (nodes, standings)
    let (answer, table) = try book.offers(
      for: Inventory.request(spec, ranks: spec.gang.ranks, excluding: []), terms: terms.number,
      spares: spec.gang.terms?.spares ?? 0, bars: terms.bars
    ) { offer in
      guard let node = nodes[offer.node], let standing = standings[offer.node] else {
        return OfferTable.Worth(microdollarsPerHour: 0, reliability: 0)
      }
      return OfferTable.Worth(
        microdollarsPerHour: Int(standing.price(of: spec, on: node).rounded()),
        reliability: standing.reliability, security: standing.security)
    }
    return Prospect(
      answer: answer, table: table, nodes: nodes, sites: book.sites,
      isPacking: book.packing != nil, plain: table == nil ? plain(book) : nil,
      nodeOffers: table == nil ? book.offers : [])
  }
}

extension JobDirector {
  /// What a job would find on the nodes of this moment. Reserves nothing.
  func prospect(of spec: JobSpec, by owner: JobOwner) async throws -> Prospect {
    await hearNews()
    // Since then jobs may have been placed or have ended.
    recountKnown()
    return try known.prospect(of: spec, by: owner)
  }
}
