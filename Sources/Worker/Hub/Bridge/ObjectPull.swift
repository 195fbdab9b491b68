import IorunCore

/// Fetches one object from the nodes that have it: in chunks, several under way at once, spread over all
/// sources; what a source cannot give is asked of the others. A pure value: requests go out, their
/// outcomes come in.
struct ObjectPull: Sendable {
  /// What one request asks for at most: it must fit into one call.
  static let chunkBytes: Int64 = 512 << 10
  /// How many requests to one source are under way at once: 8 MiB, so that a long way is filled.
  static let window = 16

  /// A part of the object, to be asked of a source.
  struct Request: Hashable, Sendable {
    var source: NodeID
    var offset: Int64
    var count: Int
  }

  /// What an outcome leads to.
  enum Step: Hashable, Sendable {
    /// Send these; the rest is under way. May be empty.
    case ask([Request])
    /// Every byte is here.
    case done
    /// No source has it.
    case lost
  }

  let size: Int64
  private var sources: [NodeID]
  private var underWay: [NodeID: Int] = [:]
  private var nextOffset: Int64 = 0
  private var again: [(offset: Int64, count: Int)] = []
  private var missing: Int64
  private var isOver = false

  /// Begins with `begin`. `sources` are asked in turn.
  init(size: Int64, sources: [NodeID]) {
    self.size = size
    self.sources = sources
    missing = size
  }

  /// The first requests.
  mutating func begin() -> Step { step() }

  /// A part has come, and is written where it belongs.
  mutating func received(_ request: Request) -> Step {
    guard !isOver else { return .ask([]) }
    underWay[request.source, default: 1] -= 1
    missing -= Int64(request.count)
    return step()
  }

  /// A source does not have the object, or cannot be reached: the others get what it was asked for.
  mutating func failed(_ request: Request) -> Step {
    guard !isOver else { return .ask([]) }
    underWay[request.source, default: 1] -= 1
    sources.removeAll { $0 == request.source }
    again.append((request.offset, request.count))
    return step()
  }

  private mutating func step() -> Step {
    if missing == 0 {
      isOver = true
      return .done
    }
    guard !sources.isEmpty else {
      isOver = true
      return .lost
    }
    var requests: [Request] = []
    // The least loaded first: a source that answers faster is asked for more.
    while hasWork, let source = sources.min(by: { load($0) < load($1) }), load(source) < Self.window
    {
      let part = takePart()
      underWay[source, default: 0] += 1
      requests.append(Request(source: source, offset: part.offset, count: part.count))
    }
    return .ask(requests)
  }

  private var hasWork: Bool { !again.isEmpty || nextOffset < size }

  private func load(_ source: NodeID) -> Int { underWay[source, default: 0] }

  private mutating func takePart() -> (offset: Int64, count: Int) {
    if let part = again.popLast() { return part }
    let count = min(Self.chunkBytes, size - nextOffset)
    defer { nextOffset += count }
    return (nextOffset, Int(count))
  }
}
