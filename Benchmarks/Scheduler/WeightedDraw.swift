/// Draws numbers by weight.
struct WeightedDraw {
  /// Sums of the weights so far.
  private let sums: [Int]

  /// - Parameter weights: above 0 each.
  init(_ weights: [Int]) {
    var sum = 0
    sums = weights.map { weight in
      sum += weight
      return sum
    }
  }

  /// The number of a weight.
  func next(_ random: inout SplitMix64) -> Int {
    let draw = Int.random(in: 0..<max(1, sums.last ?? 0), using: &random)
    var (low, high) = (0, sums.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if sums[middle] > draw { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
