/// Where a peer is in the network: distances between coordinates foretell round trips between peers
/// that never measured each other.
///
/// Source: Vivaldi (Dabek et al., SIGCOMM 2004), eight dimensions and a height, which stands for the
/// peer's access link. Good as a first filter; never the final word on a pair.
public struct NetworkCoordinate: Sendable, Hashable, Codable {
  /// Milliseconds in each dimension.
  public private(set) var position: SIMD8<Float>
  /// Milliseconds from the peer to the network's core, in and out.
  public private(set) var heightMilliseconds: Float
  /// The expected relative error, from 0 to 1.5.
  public private(set) var error: Float

  /// How far an error or a coordinate moves towards a measurement, at most (Vivaldi's c_e and c_c):
  /// Vivaldi's own figure while the coordinate is wrong, less as it gets right. Round trips do not
  /// obey the triangle inequality, and large steps never settle between neighbours that disagree.
  private static let steps: ClosedRange<Float> = 0.05...0.25
  private static let worstError: Float = 1.5
  private static let leastHeight: Float = 0.01
  /// No two peers on Earth are further apart; a coordinate beyond it is a fault or a lie.
  private static let furthest: Float = 10_000

  /// The coordinate of a peer that measured nothing yet.
  public init() {
    position = SIMD8(repeating: 0)
    heightMilliseconds = Self.leastHeight
    error = Self.worstError
  }

  /// A coordinate that another peer told.
  ///
  /// - Returns: `nil` where it cannot be one: not finite, too far away, or a negative height or error.
  public init?(position: SIMD8<Float>, heightMilliseconds: Float, error: Float) {
    guard (0..<8).allSatisfy({ abs(position[$0]) <= Self.furthest }),
      heightMilliseconds >= 0, heightMilliseconds <= Self.furthest, error >= 0, error.isFinite
    else { return nil }
    self.position = position
    self.heightMilliseconds = max(heightMilliseconds, Self.leastHeight)
    self.error = min(error, Self.worstError)
  }

  /// The round trip to expect between two peers.
  public func expectedMilliseconds(to other: NetworkCoordinate) -> Float {
    Self.length(position - other.position) + heightMilliseconds + other.heightMilliseconds
  }

  /// Moves towards what a measurement says. Measurements that cannot be are ignored.
  ///
  /// - Parameter random: gives the direction in which two peers at the same place part.
  public mutating func update(
    towards other: NetworkCoordinate, measuredMilliseconds measured: Float,
    random: inout some RandomNumberGenerator
  ) {
    guard measured.isFinite, measured > 0, measured <= Self.furthest else { return }
    let expected = expectedMilliseconds(to: other)
    let weight = error / max(error + other.error, .leastNormalMagnitude)
    let relative = abs(expected - measured) / measured
    let pull = weight * min(max(error / 2, Self.steps.lowerBound), Self.steps.upperBound)
    error = min(Self.worstError, relative * pull + error * (1 - pull))
    let force = pull * (measured - expected)
    var difference = position - other.position
    var distance = Self.length(difference)
    let isApart = distance > 1e-4
    if !isApart {
      for index in 0..<8 { difference[index] = Float.random(in: -1...1, using: &random) }
      distance = max(Self.length(difference), 1e-4)
    }
    position += difference * (force / distance)
    if isApart {
      let heights = heightMilliseconds + other.heightMilliseconds
      heightMilliseconds = min(
        Self.furthest, max(Self.leastHeight, heightMilliseconds + heights * force / distance))
    }
    position.clamp(
      lowerBound: SIMD8(repeating: -Self.furthest), upperBound: SIMD8(repeating: Self.furthest))
  }

  private static func length(_ vector: SIMD8<Float>) -> Float {
    (vector * vector).sum().squareRoot()
  }
}
