/// Splits a batch over the ranks that have something to say, so that a loud rank never silences the
/// others.
enum LogShare {
  /// How much each key may take of `total`: all that it has, or an equal share of what is left.
  static func split<Key: Comparable>(_ total: Int, over waiting: [Key: Int]) -> [Key: Int] {
    var left = total
    var shares: [Key: Int] = [:]
    let modest = waiting.filter { $0.value > 0 }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    for (index, (key, count)) in modest.enumerated() {
      let share = min(count, left / (modest.count - index))
      shares[key] = share
      left -= share
    }
    return shares
  }
}
