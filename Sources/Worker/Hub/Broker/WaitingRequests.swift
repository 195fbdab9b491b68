import IorunCore
import IorunWire

/// A request that waits for room.
struct WaitingRequest: Sendable {
  var key: LeaseBroker.RequestKey
  var holder: ProcessAddress
  var job: JobID
  var environment: String
  var since: ContinuousClock.Instant
  /// See `RuntimeDemand.isRetriable`.
  var isRetriable = true
}

/// What a request asks for: all requests of one shape fit, or none does.
struct RequestShape: Hashable, Sendable {
  let resources: ResourceAmounts
  let bundle: RuntimeDemand.Bundle?

  /// The shape of a demand.
  init(_ demand: RuntimeDemand) {
    resources = demand.resources
    bundle = demand.bundle
  }
}

/// Requests that wait for room, in the order in which they came, by shape: a thousand requests for the
/// same thing are looked at once.
struct WaitingRequests: Sendable {
  private struct Line: Sendable {
    var items: [(number: UInt64, request: WaitingRequest)] = []
    var start = 0
    /// How many of them still wait.
    var live = 0
  }

  private var lines: [RequestShape: Line] = [:]
  /// What still waits; a request taken back stays in its line until it is its turn.
  private var places: [LeaseBroker.RequestKey: (shape: RequestShape, number: UInt64)] = [:]
  private var counts: [WorkerID: Int] = [:]
  private var nextNumber: UInt64 = 0

  /// True where nothing waits.
  var isEmpty: Bool { places.isEmpty }
  /// How many requests wait.
  var count: Int { places.count }
  /// How many different requests wait.
  var shapeCount: Int { lines.count }

  /// True where requests of this shape wait.
  func knows(_ shape: RequestShape) -> Bool { lines[shape] != nil }

  /// True where the request waits.
  func contains(_ key: LeaseBroker.RequestKey) -> Bool { places[key] != nil }

  /// The process whose requests these are, where all are of one.
  var sole: ProcessAddress? {
    guard counts.count == 1, let line = lines.values.first else { return nil }
    return line.items[line.start].request.holder
  }

  /// How many requests of one process wait.
  func countOf(_ holder: WorkerID) -> Int { counts[holder, default: 0] }

  /// Adds a request at the end of its line.
  mutating func add(_ request: WaitingRequest, shape: RequestShape) {
    nextNumber += 1
    places[request.key] = (shape, nextNumber)
    counts[request.holder.worker, default: 0] += 1
    lines[shape, default: Line()].items.append((nextNumber, request))
    lines[shape]?.live += 1
  }

  /// Takes a request out. False where it does not wait.
  mutating func remove(_ key: LeaseBroker.RequestKey) -> Bool {
    guard let place = places.removeValue(forKey: key) else { return false }
    discount(key.holder)
    settle(place.shape)
    return true
  }

  /// Takes out all requests of a process.
  mutating func remove(allOf holder: WorkerID) -> [LeaseBroker.RequestKey] {
    guard counts[holder] != nil else { return [] }
    let keys = places.keys.filter { $0.holder == holder }
    for key in keys { _ = remove(key) }
    return keys
  }

  /// Takes out all requests of one shape.
  mutating func removeLine(_ shape: RequestShape) -> [WaitingRequest] {
    var requests: [WaitingRequest] = []
    while let request = takeFirst(shape) { requests.append(request) }
    return requests
  }

  /// The first request of each line, in the order in which they came.
  var heads: [(shape: RequestShape, request: WaitingRequest)] {
    lines.compactMap { shape, line in
      line.start < line.items.count ? (shape, line.items[line.start]) : nil
    }
    .sorted { $0.1.number < $1.1.number }
    .map { ($0.0, $0.1.request) }
  }

  /// Takes out the first request of a line.
  mutating func takeFirst(_ shape: RequestShape) -> WaitingRequest? {
    guard let line = lines[shape], line.start < line.items.count else { return nil }
    let request = line.items[line.start].request
    _ = remove(request.key)
    return request
  }

  private mutating func discount(_ holder: WorkerID) {
    guard let count = counts[holder] else { return }
    counts[holder] = count > 1 ? count - 1 : nil
  }

  /// One request less in a line: its first one is always one that waits, and what does not wait any
  /// more is never most of it.
  private mutating func settle(_ shape: RequestShape) {
    guard var line = lines.removeValue(forKey: shape), line.live > 1 else { return }
    line.live -= 1
    while line.start < line.items.count, !waits(line.items[line.start]) { line.start += 1 }
    if line.items.count > 64, line.items.count > 2 * line.live {
      line.items = line.items[line.start...].filter(waits)
      line.start = 0
    }
    lines[shape] = line
  }

  private func waits(_ item: (number: UInt64, request: WaitingRequest)) -> Bool {
    places[item.request.key]?.number == item.number
  }
}
