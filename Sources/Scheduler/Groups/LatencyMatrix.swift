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

  /// No sites.
  static let empty = LatencyMatrix()

  private init() { self.init(0, judged: []) }

  /// Takes what is a matrix already.
  private init(_ count: Int, judged milliseconds: [Float]) {
    self.count = count
    self.milliseconds = milliseconds
  }

  /// The same with more sites, of which no round trip is known; `nil` for too many, and for fewer.
  func extended(to size: Int) -> LatencyMatrix? {
    guard size >= count, size <= 1 << 15 else { return nil }
    var values = [Float](repeating: .infinity, count: size * size)
    for row in 0..<count {
      values.replaceSubrange(
        row * size..<row * size + count, with: milliseconds[row * count..<(row + 1) * count])
    }
    for row in count..<size { values[row * size + row] = 0 }
    return LatencyMatrix(size, judged: values)
  }

  /// Sets the round trip between two sites, both ways; a value that is none changes nothing.
  public mutating func replace(_ left: Int, _ right: Int, with value: Float) {
    guard left != right, value.isFinite, value > 0 else { return }
    milliseconds[left * count + right] = value
    milliseconds[right * count + left] = value
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
