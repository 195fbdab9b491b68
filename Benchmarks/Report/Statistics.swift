extension Array where Element: Comparable {
  /// The value below which that part of a sorted array lies; `nil` where it is empty.
  func quantile(_ part: Double) -> Element? {
    isEmpty ? nil : self[Swift.min(count - 1, Int(Double(count) * part))]
  }
}

extension Sequence<Double> {
  /// The middle value, or the mean of the two in the middle; 0 where there is none.
  var median: Double {
    let sorted = sorted()
    guard let upper = sorted.quantile(0.5) else { return 0 }
    return sorted.count % 2 == 1 ? upper : (sorted[sorted.count / 2 - 1] + upper) / 2
  }
}
