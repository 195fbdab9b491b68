public import IorunCore

/// The nodes of a live network and what is free of them, kept change by change, and the decision of
/// `GangPlacer` on them: the same answers, for a part of the work.
///
/// For each kind of rank that is asked for, it keeps how all nodes suit it (`NodeRanking`). A node that
/// changes is looked at again once by each kind, when that is asked for next: nothing is built anew
/// from all nodes.
public struct NodeInventory: Sendable {
  /// What the ranks of a gang ask of a node. Requests with equal questions share a ranking.
  struct Question: Hashable, Sendable {
    var resources: ResourceSet
    var gpuModel: String
    /// Which nodes are barred, by the caller's number.
    var terms: Int
  }

  /// The most entries of all rankings together, some 50 bytes each.
  static let mostEntries = 4_000_000
  private static let mostRankings = 256
  private static let longestLog = 4096

  /// All nodes, by name and then by id: a node's place here is its row.
  public private(set) var offers: [NodeOffer] = []
  /// How far they are from each other, for gangs that ask for it.
  public var sites = NodeSites()
  /// What leftovers are good for; `nil` where nothing is known of that.
  public private(set) var packing: PackingScore?

  private var rows: [PeerID: Int] = [:]
  /// By row, where there is packing: what it scores, and the potential of that.
  private var rooms: [NodeRoom] = []
  private var potentials: [Float] = []

  /// Which change last touched a row.
  private var lastChange: [Int] = []
  private var nextChange = 1
  /// Changed rows, oldest first; entry `i` is change `firstLogged + i`.
  private var log: [Int32] = []
  private var firstLogged = 1

  /// How often the mix has changed.
  private var mix = 0
  private var numbers: [Question: Int] = [:]
  private var rankings: [NodeRanking] = []
  private var asked: [Int] = []
  private var questions = 0

  /// An inventory without nodes.
  public init() {}

  /// An inventory of these nodes; of one that is listed twice the last counts.
  public init(_ offers: [NodeOffer], sites: NodeSites = NodeSites(), packing: PackingScore? = nil) {
    self.sites = sites
    self.packing = packing
    update(offers)
  }

  /// The decision from scratch, for answers with all their words.
  public var placer: GangPlacer { GangPlacer(sites: sites, packing: packing) }

  /// A node as it is now; `nil` where it is not in it.
  public func offer(of node: PeerID) -> NodeOffer? { rows[node].map { offers[$0] } }

  func row(of node: PeerID) -> Int? { rows[node] }

  /// Nodes joined, changed or left. One that is told again without a change is judged anew, because what
  /// bars it may have changed.
  public mutating func update(_ changed: [NodeOffer], removing: [PeerID] = []) {
    var joined: [PeerID: NodeOffer] = [:]
    var left = Set(removing.filter { rows[$0] != nil })
    for offer in changed {
      if let row = rows[offer.node], offers[row].name == offer.name, !left.contains(offer.node) {
        offers[row] = offer
        noteChange(row)
      } else {
        joined[offer.node] = offer
        if rows[offer.node] != nil { left.insert(offer.node) }
      }
    }
    guard !joined.isEmpty || !left.isEmpty else { return }
    rearrange(Array(joined.values), without: left)
  }

  /// What the leases on a node hold together; nothing changes where that is known.
  public mutating func setUsed(_ resources: ResourceSet, gpus: Set<Int>, on node: PeerID) {
    guard let row = rows[node], offers[row].used != resources || offers[row].usedGPUs != gpus
    else { return }
    offers[row].used = resources
    offers[row].usedGPUs = gpus
    noteChange(row)
  }

  /// A rank takes these resources and these of the GPUs of a node.
  public mutating func take(_ resources: ResourceSet, gpus: some Sequence<Int>, on node: PeerID) {
    guard let row = rows[node] else { return }
    offers[row].take(resources, gpus: gpus)
    noteChange(row)
  }

  /// A rank gives them back.
  public mutating func release(
    _ resources: ResourceSet, gpus: some Sequence<Int>, on node: PeerID
  ) {
    guard let row = rows[node] else { return }
    offers[row].release(resources, gpus: gpus)
    noteChange(row)
  }

  /// The mix that leftovers are judged by has changed: each ranking is scored anew when it is asked for.
  public mutating func setPacking(_ packing: PackingScore?) {
    self.packing = packing
    mix += 1
    for row in offers.indices { refreshRoom(row) }
  }

  /// The ranking of a question, brought up to date.
  mutating func ranking(_ question: Question, bars: (NodeOffer) -> Bool) -> NodeRanking {
    let number = self.number(of: question)
    let seen = rankings[number].seen
    if rankings[number].mix != mix {
      let (rooms, potentials) = (rooms, potentials)
      rankings[number].rescore(packing, mix: mix) { (rooms[$0], potentials[$0]) }
    }
    func look(_ row: Int) {
      let offer = offers[row]
      rankings[number].set(
        row, offer, isAllowed: offer.isPlaceable && !bars(offer),
        room: packing == nil ? nil : (rooms[row], potentials[row]))
    }
    if seen >= firstLogged {
      for change in seen..<nextChange {
        let row = Int(log[change - firstLogged])
        // Only the last change of a row is looked at.
        if lastChange[row] == change { look(row) }
      }
    } else {
      for row in offers.indices where lastChange[row] >= seen { look(row) }
    }
    rankings[number].seen = nextChange
    return rankings[number]
  }

  private mutating func number(of question: Question) -> Int {
    questions += 1
    if let number = numbers[question] {
      asked[number] = questions
      return number
    }
    let ranking = NodeRanking(
      question, count: offers.count, packing: packing, mix: mix)
    let most = min(Self.mostRankings, max(8, Self.mostEntries / max(1, offers.count)))
    guard rankings.count >= most, let oldest = asked.indices.min(by: { asked[$0] < asked[$1] })
    else {
      numbers[question] = rankings.count
      rankings.append(ranking)
      asked.append(questions)
      return rankings.count - 1
    }
    numbers[rankings[oldest].question] = nil
    numbers[question] = oldest
    (rankings[oldest], asked[oldest]) = (ranking, questions)
    return oldest
  }

  private mutating func noteChange(_ row: Int) {
    refreshRoom(row)
    lastChange[row] = nextChange
    log.append(Int32(truncatingIfNeeded: row))
    nextChange += 1
    guard log.count > Self.longestLog else { return }
    // Who has not seen these looks at all rows' last changes.
    log.removeFirst(Self.longestLog / 2)
    firstLogged += Self.longestLog / 2
  }

  private mutating func refreshRoom(_ row: Int) {
    guard let packing else { return }
    rooms[row] = packing.room(of: offers[row])
    potentials[row] = packing.potential.value(rooms[row])
  }

  /// Puts nodes in and takes nodes out; what is known of the others moves with them.
  private mutating func rearrange(_ joined: [NodeOffer], without left: Set<PeerID>) {
    func isBefore(_ one: NodeOffer, _ other: NodeOffer) -> Bool {
      (one.name, one.node) < (other.name, other.node)
    }
    let joined = joined.sorted(by: isBefore)
    // By new row: the row before, or -1.
    var before: [Int] = []
    var merged: [NodeOffer] = []
    before.reserveCapacity(offers.count + joined.count)
    merged.reserveCapacity(offers.count + joined.count)
    var next = 0
    for (row, offer) in offers.enumerated() where left.isEmpty || !left.contains(offer.node) {
      while next < joined.count, isBefore(joined[next], offer) {
        merged.append(joined[next])
        before.append(-1)
        next += 1
      }
      merged.append(offer)
      before.append(row)
    }
    merged += joined[next...]
    before += repeatElement(-1, count: joined.count - next)
    let blank = NodeRoom(
      cpuMilli: 0, memoryMiB: 0, gpus: SIMD16(repeating: 0), gpuCount: 0, hardwareClass: 0)
    rooms =
      packing == nil
      ? Array(repeating: blank, count: merged.count)
      : before.map { $0 < 0 || $0 >= rooms.count ? blank : rooms[$0] }
    potentials = before.map { $0 < 0 || $0 >= potentials.count ? 0 : potentials[$0] }
    lastChange = before.map { $0 < 0 ? 0 : lastChange[$0] }
    for number in rankings.indices { rankings[number].rearrange(before) }
    offers = merged
    rows = Dictionary(offers.enumerated().map { ($1.node, $0) }) { first, _ in first }
    // The log speaks of rows that have moved.
    log = []
    firstLogged = nextChange
    for row in before.indices where before[row] < 0 { noteChange(row) }
  }
}
