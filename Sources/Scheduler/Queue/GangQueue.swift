internal import IorunCore

/// Gangs that wait, and which of them is looked at first.
///
/// The order is by urgency, then by the tenant's share (`FairShare`), then by arrival. Urgency is
/// `4 * priority - level + days waited`: a priority outweighs all levels of service, and each day of
/// waiting outweighs one step of either. Hence a bound: nobody waits behind newcomers for longer
/// than `(4 * (10 - priority) + level + 1)` days, whatever comes.
///
/// Gangs that differ in arrival only stand in one line, so a look at the queue costs the number of
/// different lines, not of gangs.
public struct GangQueue: Sendable {
  /// The priorities that there are.
  public static let priorities = JobLimits.priorities
  /// The priority of a gang that names none.
  public static let usualPriority = JobLimits.usualPriority
  /// One step of urgency for each so much waiting.
  public static let agingSeconds = 86_400.0

  /// One gang that waits.
  public struct Entry: Sendable, Hashable {
    /// Names it; a later arrival has a greater one.
    public var id: Int
    /// Whose it is.
    public var tenant: Int
    /// From 0 to 10.
    public var priority: Int
    /// How much service it had already, as a step from 0 to 3 (`ServiceLevel`).
    public var level: Int
    /// What all its ranks take together.
    public var demand: QueueDemand
    /// Since when it waits.
    public var waitingSinceSeconds: Double

    /// Describes a gang that waits.
    public init(
      id: Int, tenant: Int, priority: Int = usualPriority, level: Int = 0, demand: QueueDemand,
      waitingSinceSeconds: Double
    ) {
      self.id = id
      self.tenant = tenant
      self.priority = priority
      self.level = level
      self.demand = demand
      self.waitingSinceSeconds = waitingSinceSeconds
    }
  }

  /// One look at the queue at one time, from the front on.
  public struct Pass: Sendable {
    fileprivate var closed: Set<Int> = []
    fileprivate var shares: [Int: Double]
    fileprivate let now: Double
  }

  fileprivate struct Line: Sendable {
    let tenant: Int
    let priority: Int
    let level: Int
    let demand: QueueDemand
    /// Oldest first; by time, then number.
    var entries: [Entry] = []
    /// How many of `entries` have left from the front.
    var gone = 0

    var first: Entry? { gone < entries.count ? entries[gone] : nil }
  }

  fileprivate struct LineKey: Hashable {
    let tenant: Int
    let priority: Int
    let level: Int
    let demand: QueueDemand
  }

  private var lines: [Line] = []
  private var lineOf: [LineKey: Int] = [:]
  private var keys: [Int: LineKey] = [:]

  /// An empty queue.
  public init() {}

  /// How many gangs wait.
  public var count: Int { keys.count }

  /// Lets a gang wait.
  ///
  /// - Throws: `specInvalid` for a priority or level that there is not, a time that is none, and a
  ///   gang that waits already.
  public mutating func insert(_ entry: Entry) throws {
    guard Self.priorities.contains(entry.priority), ServiceLevel.levels.contains(entry.level),
      entry.waitingSinceSeconds.isFinite
    else {
      throw IorunError(
        .specInvalid, "no gang can wait with priority \(entry.priority), level \(entry.level)",
        remedy: "A priority is a number from 0 to 10")
    }
    guard keys[entry.id] == nil else {
      throw IorunError(.specInvalid, "gang \(entry.id) waits already")
    }
    let key = LineKey(
      tenant: entry.tenant, priority: entry.priority, level: entry.level, demand: entry.demand)
    let index = lineOf[key] ?? lines.count
    if index == lines.count {
      lines.append(
        Line(
          tenant: key.tenant, priority: key.priority, level: key.level, demand: key.demand))
      lineOf[key] = index
    }
    keys[entry.id] = key
    lines[index].insert(entry)
  }

  /// Takes a gang out: it has started, or its owner gave up.
  public mutating func remove(_ id: Int) {
    guard let key = keys.removeValue(forKey: id), let index = lineOf[key] else { return }
    lines[index].remove(id)
  }

  /// Begins a look from the front, with the shares of now.
  public func pass(shares: FairShare, atSeconds now: Double) -> Pass {
    var known: [Int: Double] = [:]
    for line in lines where line.first != nil && known[line.tenant] == nil {
      known[line.tenant] = shares.share(of: line.tenant, atSeconds: now)
    }
    return Pass(shares: known, now: now)
  }

  /// The most urgent gang whose line is not closed.
  public func first(in pass: Pass) -> Entry? {
    var best: (urgency: Double, share: Double, entry: Entry)?
    for index in lines.indices {
      guard let entry = lines[index].first, !pass.closed.contains(index) else { continue }
      let urgency = Self.urgency(of: entry, atSeconds: pass.now)
      let share = pass.shares[entry.tenant] ?? 0
      if let best {
        if urgency < best.urgency { continue }
        if urgency == best.urgency {
          if share > best.share { continue }
          if share == best.share,
            (best.entry.waitingSinceSeconds, best.entry.id)
              < (entry.waitingSinceSeconds, entry.id)
          {
            continue
          }
        }
      }
      best = (urgency, share, entry)
    }
    return best?.entry
  }

  /// A gang of the tenant has started: its share has grown.
  public func note(_ shares: FairShare, of tenant: Int, in pass: inout Pass) {
    pass.shares[tenant] = shares.share(of: tenant, atSeconds: pass.now)
  }

  /// No gang like this one can start now: passes over its line.
  public func close(lineOf entry: Entry, in pass: inout Pass) {
    guard let key = keys[entry.id], let index = lineOf[key] else { return }
    pass.closed.insert(index)
  }

  /// How urgent a gang is.
  static func urgency(of entry: Entry, atSeconds now: Double) -> Double {
    let days = (max(0, now - entry.waitingSinceSeconds) / agingSeconds).rounded(.down)
    return Double(4 * entry.priority - entry.level) + days
  }
}

extension GangQueue.Line {
  mutating func insert(_ entry: GangQueue.Entry) {
    // Nearly always the newest: a look from the back ends at once.
    var index = entries.count
    while index > gone,
      (entries[index - 1].waitingSinceSeconds, entries[index - 1].id)
        > (entry.waitingSinceSeconds, entry.id)
    { index -= 1 }
    entries.insert(entry, at: index)
  }

  mutating func remove(_ id: Int) {
    guard let index = entries[gone...].firstIndex(where: { $0.id == id }) else { return }
    if index == gone { gone += 1 } else { entries.remove(at: index) }
    if gone > 64, 2 * gone > entries.count {
      entries.removeFirst(gone)
      gone = 0
    }
  }
}
