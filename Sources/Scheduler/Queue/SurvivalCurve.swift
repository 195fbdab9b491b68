internal import Foundation

/// How much longer something runs that has run for so long, from what ended before.
///
/// Lengths are counted in steps of a quarter octave, so the answer is right to a fifth. For
/// heavy-tailed lengths the expected rest grows with the age, which no single average tells.
public struct SurvivalCurve: Sendable {
  private static let stepsPerOctave = 4.0
  private var counts = [Int](repeating: 0, count: 160)
  /// How many ends were seen.
  public private(set) var samples = 0

  /// Knows nothing yet.
  public init() {}

  /// Something ended after so many seconds; what is no length is not counted.
  public mutating func ended(afterSeconds seconds: Double) {
    guard seconds >= 0, seconds.isFinite else { return }
    counts[step(seconds)] += 1
    samples += 1
  }

  /// Within how many more seconds the given part of those that reached this age had ended.
  ///
  /// - Returns: `nil` where fewer than `atLeast` reached it.
  public func remainingSeconds(
    atAgeSeconds age: Double, quantile: Double, atLeast: Int = 20
  ) -> Double? {
    guard age >= 0, age.isFinite, (0...1).contains(quantile) else { return nil }
    let first = step(age)
    let reached = counts[first...].reduce(0, +)
    guard reached >= max(1, atLeast) else { return nil }
    var left = Int((quantile * Double(reached)).rounded(.up))
    for index in first..<counts.count {
      left -= counts[index]
      if left <= 0 { return max(0, exp2(Double(index + 1) / Self.stepsPerOctave) - 1 - age) }
    }
    return nil
  }

  private func step(_ seconds: Double) -> Int {
    min(counts.count - 1, Int(log2(seconds + 1) * Self.stepsPerOctave))
  }
}
