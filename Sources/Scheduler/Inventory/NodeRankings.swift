internal import IorunCore

/// The rankings of all kinds of ranks that are asked for, with what they share: what is free by GPU model,
/// which nodes the callers' terms allow, and what packing knows of the nodes.
struct NodeRankings: Sendable {
  /// So many changes a ranking that is in use may fall behind before it is brought up to date without being
  /// asked for: bounds the longest decision.
  private static let largestLag = 2048
  /// A ranking is in use that was asked for in the last so many questions.
  private static let inUse = 8192
  /// The most rankings, and the most GPU models and terms that they differ in.
  private static let (mostRankings, mostModels, mostTerms) = (256, 16, 256)

  private(set) var packing = NodeRanking.Packing(score: nil, rooms: [], worths: [], mix: 0)
  private var models = KeptOnes<String, ModelRooms>(most: mostModels)
  private var terms = KeptOnes<Int, NodeTermsBook>(most: mostTerms)
  private var rankings = KeptOnes<NodeInventory.Question, NodeRanking>(most: mostRankings)
  private var nextLaggard = 0

  init(packing: PackingScore? = nil) { self.packing.score = packing }

  /// The ranking of a question, up to date, and the rooms that it ranks.
  mutating func ranking(
    _ question: NodeInventory.Question, _ told: NodeTellings, _ offers: [NodeOffer],
    bars: (NodeOffer) -> Bool
  ) -> (NodeRanking, ModelRooms) {
    var gone: (model: String?, terms: Int?)
    let model = models.index(of: question.gpuModel) {
      gone.model = $0
    } make: {
      ModelRooms(question.gpuModel, offers: offers)
    }
    let term = terms.index(of: question.terms) {
      gone.terms = $0
    } make: {
      NodeTermsBook(count: offers.count)
    }
    if gone.model != nil || gone.terms != nil {
      forget { $0.gpuModel == gone.model || $0.terms == gone.terms }
    }
    for row in terms.values[term].catchUp(told, offers, bars: bars) {
      for index in models.values.indices { models.values[index].noteTerms(row) }
    }
    let number = rankings.index(of: question) { NodeRanking(question, count: offers.count) }
    let allowed = terms.values[term].allowed
    rankings.values[number].bringUpToDate(models.values[model], allowed: allowed, packing)
    catchUpLaggard()
    return (rankings.values[number], models.values[model])
  }

  /// The rows that terms allow, as of the last question with them.
  func allowed(terms number: Int) -> RowSet? { terms[number]?.allowed }

  /// Rankings of what is no longer kept begin anew.
  private mutating func forget(where isGone: (NodeInventory.Question) -> Bool) {
    for (number, ranking) in rankings.values.enumerated() where isGone(ranking.question) {
      rankings.values[number] = NodeRanking(ranking.question, count: ranking.count)
    }
  }

  /// Looks at one ranking a question, in turn.
  private mutating func catchUpLaggard() {
    nextLaggard = nextLaggard + 1 < rankings.values.count ? nextLaggard + 1 : 0
    guard rankings.questions - rankings.asked[nextLaggard] < Self.inUse else { return }
    catchUp(nextLaggard, beyond: Self.largestLag)
  }

  /// Brings a ranking up to date that has fallen behind by more changes than that.
  ///
  /// - Returns: false for one that must count anew.
  @discardableResult
  private mutating func catchUp(_ number: Int, beyond lag: Int) -> Bool {
    let question = rankings.values[number].question
    guard let rooms = models[question.gpuModel], let allowed = terms[question.terms]?.allowed,
      let behind = rankings.values[number].lag(behind: rooms)
    else { return false }
    if behind > lag { rankings.values[number].catchUp(rooms, allowed: allowed, packing) }
    return true
  }

  /// Jobs took something of a node or gave it back.
  mutating func noteUse(_ row: Int, _ offer: NodeOffer) {
    refreshRoom(row, offer)
    for index in models.values.indices { models.values[index].noteUse(row, offer) }
  }

  /// A node itself has changed.
  mutating func noteNode(_ row: Int, _ offer: NodeOffer) {
    refreshRoom(row, offer)
    for index in models.values.indices { models.values[index].noteNode(row, offer) }
  }

  private mutating func refreshRoom(_ row: Int, _ offer: NodeOffer) {
    guard let score = packing.score else { return }
    packing.rooms[row] = score.room(of: offer)
    packing.worths[row] = score.potential.worth(packing.rooms[row])
  }

  /// The mix that leftovers are judged by has changed.
  mutating func setPacking(_ score: PackingScore?, _ offers: [NodeOffer]) {
    let knowsRooms = score.flatMap { packing.score?.hasSameModels(as: $0) } ?? false
    packing.score = score
    packing.mix += 1
    guard let score else {
      (packing.rooms, packing.worths) = ([], [])
      return
    }
    if !knowsRooms { packing.rooms = offers.map { score.room(of: $0) } }
    packing.worths = packing.rooms.map { score.potential.worth($0) }
  }

  /// Rows move, and these leave before.
  mutating func move(_ move: RowMove, leaving: [Int]) {
    for number in rankings.values.indices {
      let question = rankings.values[number].question
      guard catchUp(number, beyond: 0), let rooms = models[question.gpuModel] else {
        rankings.values[number] = NodeRanking(question, count: move.count)
        continue
      }
      for row in leaving { rankings.values[number].remove(row, rooms) }
      rankings.values[number].move(move)
    }
    for index in terms.values.indices { terms.values[index].move(move) }
    for index in models.values.indices { models.values[index].move(move) }
    guard packing.score != nil else { return }
    packing.rooms = move.moved(packing.rooms, new: .none)
    packing.worths = move.moved(
      packing.worths, new: NodeWorth(potential: 0, wholeGPUs: 0))
  }
}

extension NodeRoom {
  /// Nothing is free.
  fileprivate static let none = NodeRoom(
    cpuMilli: 0, memoryMiB: 0, gpus: SIMD16(repeating: 0), gpuCount: 0, hardwareClass: 0)
}
