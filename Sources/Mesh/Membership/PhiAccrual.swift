internal import Foundation

/// Suspicion of a silent peer as a number that grows with its silence, measured by how regularly the
/// peer was heard before: a value without a clock.
///
/// `phi = -log10(P(a heartbeat comes later than now))`, with the intervals between heartbeats taken as
/// normally distributed (Hayashibara, Défago, Yared, Katayama: The phi accrual failure detector, SRDS
/// 2004). At `phi` 8 a peer that lives is called dead once in 10^8 silences of that kind. The tail of
/// the distribution is the logistic approximation of Akka's detector, within 1e-4 of it.
public struct PhiAccrual: Sendable, Hashable {
  /// How many intervals are remembered.
  public static let windowSize = 128
  /// The suspicion at which a peer counts as gone.
  public static let threshold = 8.0

  private var intervals: [Double] = []
  private var next = 0
  private var sum = 0.0
  private var squares = 0.0
  private var lastHeard: Duration
  /// The least deviation that is assumed: a peer that was heard like clockwork may still be late once.
  private var leastDeviationSeconds: Double

  /// - Parameters:
  ///   - expected: the interval that was agreed with the peer.
  ///   - leastDeviation: the least deviation that is assumed.
  ///   - now: when it was heard for the first time.
  public init(expected: Duration, leastDeviation: Duration = .milliseconds(200), now: Duration) {
    lastHeard = now
    leastDeviationSeconds = leastDeviation.seconds
    // Two intervals around the expected one, until there are measured ones.
    let mean = expected.seconds
    remember(mean - mean / 4)
    remember(mean + mean / 4)
  }

  /// The least deviation that is assumed.
  public var leastDeviation: Duration {
    get { .seconds(leastDeviationSeconds) }
    set { leastDeviationSeconds = newValue.seconds }
  }

  /// The peer was heard. An interval beyond `most` is remembered as that.
  public mutating func heard(at now: Duration, most: Duration? = nil) {
    remember(max(0, min(now - lastHeard, most ?? now - lastHeard).seconds))
    lastHeard = now
  }

  /// So much of the silence was this side's own fault: it was stopped.
  public mutating func forgive(_ time: Duration) { lastHeard += time }

  /// The suspicion. `pause` is how much longer than usual the peer may be silent before it counts.
  public func suspicion(at now: Duration, pause: Duration = .zero) -> Double {
    let silence = (now - lastHeard - pause).seconds
    let count = Double(intervals.count)
    let mean = sum / count
    let deviation = max(leastDeviationSeconds, (max(0, squares / count - mean * mean)).squareRoot())
    let distance = (silence - mean) / deviation
    let tail = exp(-distance * (1.5976 + 0.070566 * distance * distance))
    if silence <= mean { return -log10(1 - 1 / (1 + tail)) }
    // Beyond what a Double can hold, the silence is as suspicious as can be.
    return tail > 0 ? -log10(tail / (1 + tail)) : .infinity
  }

  private mutating func remember(_ interval: Double) {
    if intervals.count < Self.windowSize {
      intervals.append(interval)
    } else {
      sum -= intervals[next]
      squares -= intervals[next] * intervals[next]
      intervals[next] = interval
      next = (next + 1) % Self.windowSize
    }
    sum += interval
    squares += interval * interval
  }
}

extension Duration {
  fileprivate var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
