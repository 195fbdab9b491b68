/// The sites that take part in a search, numbered without gaps, and the round trips between them.
struct SiteTable {
  /// Each one's row in the matrix.
  let rows: [Int]
  /// Each one's devices, above 0.
  let devices: [Int]
  private let milliseconds: [Float]

  var count: Int { rows.count }

  /// The sites that have devices.
  init(_ matrix: LatencyMatrix, capacities: [Int]) {
    self.init(matrix, rows: capacities.indices.filter { capacities[$0] > 0 }, capacities)
  }

  private init(_ matrix: LatencyMatrix, rows: [Int], _ capacities: [Int]) {
    self.rows = rows
    devices = rows.map { capacities[$0] }
    var milliseconds: [Float] = []
    milliseconds.reserveCapacity(rows.count * rows.count)
    for left in rows {
      for right in rows { milliseconds.append(matrix[left, right]) }
    }
    self.milliseconds = milliseconds
  }

  /// Those of the sites for which `isIncluded` is true, by number.
  init(_ table: SiteTable, where isIncluded: (Int) -> Bool) {
    let kept = table.rows.indices.filter(isIncluded)
    rows = kept.map { table.rows[$0] }
    devices = kept.map { table.devices[$0] }
    var milliseconds: [Float] = []
    milliseconds.reserveCapacity(kept.count * kept.count)
    for left in kept {
      for right in kept { milliseconds.append(table[left, right]) }
    }
    self.milliseconds = milliseconds
  }

  subscript(left: Int, right: Int) -> Float { milliseconds[left * rows.count + right] }

  /// One site's round trips to all.
  func roundTrips(of site: Int) -> ArraySlice<Float> {
    milliseconds[site * rows.count..<(site + 1) * rows.count]
  }
}
