internal import IorunCore

/// Gives bundles places on machines in a given order, all or none, within the limits of anti-affinity.
struct BundleFill {
  /// How machines are gone through.
  enum Style {
    /// As many bundles on each as it has room for.
    case inOrder
    /// One on each in turn.
    case inTurn
    /// One on each, and no more.
    case oneEach
  }

  let inventory: DeviceInventory
  let demand: GangDemand
  let scans: [DeviceScan]

  /// True where a refusal is proof: no other order would do. With several kinds of bundles, or limits
  /// on suppliers and countries at once, it is not.
  var isExact: Bool {
    demand.bundles.count == 1
      && (demand.limits.perSupplier == nil || demand.limits.perCountry == nil)
  }

  /// What is taken so far.
  private struct Books {
    var remaining: [Int: ResourceSet] = [:]
    var bySupplier: [UInt32: Int] = [:]
    var byCountry: [UInt32: Int] = [:]
    var used: Set<Int> = []
  }

  /// Places for all bundles, with `spares` machines beside them; `nil` where they do not fit.
  func fill(
    _ rows: [Int], _ style: Style, spares: Int = 0
  ) -> (members: [GangChoice.Member], spares: [GangChoice.Member])? {
    var books = Books()
    var placed: [(kind: Int, members: [GangChoice.Member])] = []
    // The kind with the fewest machines to choose from goes first.
    let choices = demand.bundles.indices.map { kind in
      rows.count { scans[kind].misses[$0] == 0 }
    }
    for kind in demand.bundles.indices.sorted(by: { (choices[$0], $0) < (choices[$1], $1) }) {
      let count = demand.bundles[kind].count
      let members = take(count, kind, rows, style, &books)
      guard members.count == count else { return nil }
      placed.append((kind, members))
    }
    var extra: [GangChoice.Member] = []
    if spares > 0 {
      // A spare beside a member would be lost with it.
      let others = rows.filter { !books.used.contains($0) }
      extra = take(spares, 0, others, .inTurn, &books)
      guard extra.count == spares else { return nil }
    }
    return (placed.sorted { $0.kind < $1.kind }.flatMap(\.members), extra)
  }

  private func take(
    _ count: Int, _ kind: Int, _ rows: [Int], _ style: Style, _ books: inout Books
  ) -> [GangChoice.Member] {
    var members: [GangChoice.Member] = []
    var open = rows.filter { scans[kind].misses[$0] == 0 }
    while members.count < count, !open.isEmpty {
      var next: [Int] = []
      for row in open where members.count < count {
        let left = count - members.count
        let most = style == .inOrder ? left : 1
        let number = min(most, slots(row, kind, limit: left, style, books))
        guard number > 0 else { continue }
        note(number, kind, row, &books)
        let member = GangChoice.Member(kind: kind, row: row, device: inventory.ids[row])
        members.append(contentsOf: repeatElement(member, count: number))
        if style == .inTurn { next.append(row) }
      }
      open = next
    }
    return members
  }

  private func slots(
    _ row: Int, _ kind: Int, limit: Int, _ style: Style, _ books: Books
  ) -> Int {
    if style == .oneEach, books.used.contains(row) { return 0 }
    var slots =
      books.remaining[row]?.slots(for: demand.bundles[kind].need.roundedUp, limit: limit)
      ?? min(limit, Int(scans[kind].slots[row]))
    if let most = demand.limits.perSupplier {
      slots = min(slots, most - books.bySupplier[inventory.suppliers[row], default: 0])
    }
    if let most = demand.limits.perCountry {
      slots = min(slots, most - books.byCountry[country(row), default: 0])
    }
    return slots
  }

  private func note(_ number: Int, _ kind: Int, _ row: Int, _ books: inout Books) {
    let need = demand.bundles[kind].need.roundedUp
    var left = books.remaining[row] ?? inventory.free(row)
    for _ in 0..<number { left = left - need }
    books.remaining[row] = left
    books.used.insert(row)
    books.bySupplier[inventory.suppliers[row], default: 0] += number
    books.byCountry[country(row), default: 0] += number
  }

  /// A country's number; all places in doubt count as one country.
  private func country(_ row: Int) -> UInt32 {
    inventory.hasDoubtfulPlace[row] ? .max : inventory.countries[row]
  }
}
