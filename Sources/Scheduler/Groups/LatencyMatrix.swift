/// Round trips between sites, in milliseconds: symmetric, the worse of the two directions where they
/// differ, and infinite where nothing is known.
public struct LatencyMatrix: Sendable, Hashable {
  /// How many sites.
  public let count: Int
  /// Row by row; the diagonal is 0.
  private var milliseconds: [Float]

  /// Takes measurements row by row, `count * count` of them.
  ///
  /// A value that is not a number, is infinite, zero or below stands for a missing one; where one
  /// direction is missing, the other counts for both. The diagonal is not looked at.
  ///
  /// - Returns: `nil` where the size is wrong.
  public init?(count: Int, milliseconds: [Float]) {
    guard count >= 0, count <= 1 << 15, milliseconds.count == count * count else { return nil }
    self.count = count
    self.milliseconds = milliseconds
    for row in 0..<count {
      self.milliseconds[row * count + row] = 0
      for column in 0..<row {
        let value = Self.worse(
          milliseconds[row * count + column], milliseconds[column * count + row])
        self.milliseconds[row * count + column] = value
        self.milliseconds[column * count + row] = value
      }
    }
  }

  /// The round trip between two sites.
  public subscript(left: Int, right: Int) -> Float { milliseconds[left * count + right] }

  /// The longest round trip between two of the sites; 0 for fewer than two.
  public func longest(among sites: [Int]) -> Float {
    var longest: Float = 0
    for (index, left) in sites.enumerated() {
      for right in sites[..<index] { longest = max(longest, self[left, right]) }
    }
    return longest
  }

  private static func worse(_ left: Float, _ right: Float) -> Float {
    let known = [left, right].filter { $0.isFinite && $0 > 0 }
    return known.max() ?? .infinity
  }
}
