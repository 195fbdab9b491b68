public import IorunCore

/// How far a node keeps work apart, in JSON.
public struct IsolationView: Encodable, Sendable {
  /// Drivers that passed their self-test, the one in use first.
  public let drivers: [String]
  /// How working folders are encrypted.
  public let scratch: String?
  /// What is not limited.
  public let missingLimits: [String]
  /// Whom ranks can reach.
  public let egress: [String]
  /// `strong` with a kernel of their own.
  public let tier: String?

  /// Shows it.
  public init(_ found: NodeFacts.Isolation) {
    drivers = found.drivers
    scratch = found.scratch
    missingLimits = found.missingLimits
    egress = found.egress
    tier = found.tier
  }
}
