internal import IorunCore

/// Amounts that can be taken and given back: a node's, or a bundle's. GPUs have indexes: whole ones are
/// taken whole, fractions share one. A pure value.
struct ResourcePool: Sendable {
  /// What was taken.
  struct Hold: Sendable {
    var amounts: ResourceAmounts
    /// Units by GPU index.
    var gpus: [Int: Int64] = [:]
    /// Its CPU is lent while its task waits.
    var isLent = false

    var indexes: [Int] { gpus.keys.sorted() }
    var cpu: ResourceAmounts {
      ResourceAmounts(units: [
        ResourceAmounts.cpu: amounts.units[ResourceAmounts.cpu, default: 0]
      ])
    }
  }

  let total: ResourceAmounts
  private(set) var free: ResourceAmounts
  private var gpus: [Int: Int64]

  init(total: ResourceAmounts, gpus: [Int: Int64]) {
    self.total = total
    free = total
    self.gpus = gpus
  }

  /// True where `amounts` could be taken now.
  func fits(_ amounts: ResourceAmounts) -> Bool {
    free.covers(amounts) && choose(amounts.units[ResourceAmounts.gpu, default: 0]) != nil
  }

  /// Takes amounts; `nil` where they are not free.
  mutating func take(_ amounts: ResourceAmounts) -> Hold? {
    guard free.covers(amounts), let chosen = choose(amounts.units[ResourceAmounts.gpu, default: 0])
    else { return nil }
    free -= amounts
    for (index, units) in chosen { gpus[index, default: 0] -= units }
    return Hold(amounts: amounts, gpus: chosen)
  }

  /// Takes amounts and exactly these GPUs; `nil` where they are not free.
  mutating func take(_ amounts: ResourceAmounts, gpus indexes: [Int]) -> Hold? {
    let one = ResourceAmounts.unitsPerOne
    guard free.covers(amounts), indexes.allSatisfy({ gpus[$0] == one }) else { return nil }
    free -= amounts
    for index in indexes { gpus[index] = 0 }
    return Hold(amounts: amounts, gpus: Dictionary(uniqueKeysWithValues: indexes.map { ($0, one) }))
  }

  /// Gives a hold back.
  mutating func give(_ hold: Hold) {
    free += hold.isLent ? hold.amounts - hold.cpu : hold.amounts
    for (index, units) in hold.gpus { gpus[index, default: 0] += units }
  }

  /// Lends a hold's CPU to others, or takes it back: then more may be taken than there is.
  mutating func lend(_ hold: inout Hold, _ lends: Bool) {
    guard hold.isLent != lends else { return }
    hold.isLent = lends
    if lends { free += hold.cpu } else { free -= hold.cpu }
  }

  /// Keeps only `amounts` of a hold; its GPUs stay where they are.
  mutating func shrink(_ hold: inout Hold, to amounts: ResourceAmounts) {
    let surplus = ResourceAmounts(
      units: (hold.amounts - amounts).units.filter {
        $0.value > 0 && $0.key != ResourceAmounts.gpu
      })
    free += surplus
    hold.amounts -= surplus
  }

  private func choose(_ units: Int64) -> [Int: Int64]? {
    let one = ResourceAmounts.unitsPerOne
    if units == 0 { return [:] }
    if units < one {
      // The fullest that has room: whole ones stay whole for longer.
      guard
        let best = gpus.filter({ $0.value >= units })
          .min(by: { ($0.value, $0.key) < ($1.value, $1.key) })
      else { return nil }
      return [best.key: units]
    }
    guard units % one == 0 else { return nil }
    let whole = gpus.filter { $0.value == one }.keys.sorted().prefix(Int(units / one))
    guard whole.count == Int(units / one) else { return nil }
    return Dictionary(uniqueKeysWithValues: whole.map { ($0, one) })
  }
}
