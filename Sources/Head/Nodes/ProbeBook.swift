internal import IorunCore

/// Two nodes whose way is to be measured, in either direction.
struct ProbePair: Hashable, Sendable {
  let lower: PeerID
  let higher: PeerID

  init(_ one: PeerID, _ other: PeerID) {
    (lower, higher) = one < other ? (one, other) : (other, one)
  }
}

/// Pairs of nodes that gangs wait for to be measured: each end is asked when it tells next, until one
/// has tried. Time is an argument.
struct ProbeBook: Sendable {
  /// The most pairs that are wanted at once.
  static let mostPairs = 20_000

  /// Until when each is wanted.
  private var wanted: [ProbePair: Duration] = [:]
  /// The same by node.
  private var partners: [PeerID: Set<PeerID>] = [:]
  /// When a node last tried, whatever came of it.
  private var tried: [ProbePair: Duration] = [:]

  /// A pair is wanted; one that finds no room is not.
  mutating func want(_ pair: ProbePair, until: Duration, now: Duration) {
    if wanted[pair] == nil, wanted.count >= Self.mostPairs {
      expire(now)
      guard wanted.count < Self.mostPairs else { return }
    }
    wanted[pair] = max(until, wanted[pair] ?? until)
    partners[pair.lower, default: []].insert(pair.higher)
    partners[pair.higher, default: []].insert(pair.lower)
  }

  /// Whom a node is to measure first, ascending.
  mutating func targets(of node: PeerID, count: Int, now: Duration) -> [PeerID] {
    guard let others = partners[node] else { return [] }
    for other in others {
      let pair = ProbePair(node, other)
      if let until = wanted[pair], until < now { drop(pair) }
    }
    return Array((partners[node] ?? []).sorted().prefix(count))
  }

  /// A node told what came of its way to a peer.
  mutating func told(_ node: PeerID, of peer: PeerID, now: Duration) {
    let pair = ProbePair(node, peer)
    guard wanted[pair] != nil else { return }
    drop(pair)
    if tried.count >= Self.mostPairs { tried = [:] }
    tried[pair] = now
  }

  /// When a pair that was wanted was tried last.
  func triedAt(_ pair: ProbePair) -> Duration? { tried[pair] }

  /// A node is gone.
  mutating func forget(_ node: PeerID) {
    for other in partners[node] ?? [] { drop(ProbePair(node, other)) }
    tried = tried.filter { $0.key.lower != node && $0.key.higher != node }
  }

  private mutating func expire(_ now: Duration) {
    for (pair, until) in wanted where until < now { drop(pair) }
  }

  private mutating func drop(_ pair: ProbePair) {
    wanted[pair] = nil
    for (one, other) in [(pair.lower, pair.higher), (pair.higher, pair.lower)] {
      partners[one]?.remove(other)
      if partners[one]?.isEmpty == true { partners[one] = nil }
    }
  }
}
