internal import IorunCore

/// Who waits for room: first come, first served among demands of one shape; one that does not fit
/// holds up nobody of another shape.
struct WaitingLine: Sendable {
  /// What waits.
  enum Item: Hashable, Sendable {
    case lease(UInt64)
    case actor(RuntimeActorID)
    case group(GroupID)
  }

  /// One that waits.
  struct Entry: Sendable {
    var item: Item
    /// Its place: lower ones came earlier.
    var number: UInt64
    /// When it began to wait, by the head's clock.
    var since: Duration
  }

  private struct Lane {
    var numbers: [UInt64] = []
    var first = 0
  }

  private var lanes: [DemandShape: Lane] = [:]
  private var entries: [UInt64: Entry] = [:]
  private var numbers: [Item: UInt64] = [:]
  private var next: UInt64 = 1

  /// How many wait.
  var count: Int { entries.count }

  var isEmpty: Bool { entries.isEmpty }

  /// True where one of this shape waits.
  mutating func holds(_ shape: DemandShape) -> Bool { front(of: shape) != nil }

  func contains(_ item: Item) -> Bool { numbers[item] != nil }

  /// The next place. Taken when a demand comes, and kept when it comes back.
  mutating func takePlace() -> UInt64 {
    defer { next += 1 }
    return next
  }

  /// Puts an item to its place. One that waits already stays.
  mutating func add(_ item: Item, shape: DemandShape, since: Duration, at place: UInt64) {
    guard numbers[item] == nil else { return }
    entries[place] = Entry(item: item, number: place, since: since)
    numbers[item] = place
    // Out of the dictionary, so that the array is not copied.
    var lane = lanes.removeValue(forKey: shape) ?? Lane()
    if lane.numbers.last.map({ $0 < place }) ?? true {
      lane.numbers.append(place)
    } else {
      let index = lane.numbers[lane.first...].firstIndex { $0 >= place } ?? lane.numbers.endIndex
      if index == lane.numbers.endIndex || lane.numbers[index] != place {
        lane.numbers.insert(place, at: index)
      }
    }
    lanes[shape] = lane
  }

  /// Takes an item out, wherever it stands.
  mutating func remove(_ item: Item) {
    guard let number = numbers.removeValue(forKey: item) else { return }
    entries[number] = nil
  }

  /// The first one of each shape, in the order in which they came.
  mutating func fronts() -> [(shape: DemandShape, entry: Entry)] {
    var fronts: [(shape: DemandShape, entry: Entry)] = []
    for shape in Array(lanes.keys) {
      if let entry = front(of: shape) { fronts.append((shape, entry)) }
    }
    return fronts.sorted { $0.entry.number < $1.entry.number }
  }

  /// The first one of a shape. Those that were taken out are dropped here: an array's middle is not
  /// searched for each of them.
  mutating func front(of shape: DemandShape) -> Entry? {
    guard var lane = lanes.removeValue(forKey: shape) else { return nil }
    while lane.first < lane.numbers.count, entries[lane.numbers[lane.first]] == nil {
      lane.first += 1
    }
    guard lane.first < lane.numbers.count else { return nil }
    if lane.first > 1024, lane.first > lane.numbers.count / 2 {
      lane.numbers.removeFirst(lane.first)
      lane.first = 0
    }
    let entry = entries[lane.numbers[lane.first]]
    lanes[shape] = lane
    return entry
  }
}
