import IorunCore
import IorunSandbox

/// What the self-tests of a node's sandboxes found: told to the network, and shown to its owner.
struct IsolationFindings: Sendable {
  /// Of each driver that was tried, the one in use first among those that passed.
  var reports: [SandboxReport]
  /// How scratch is encrypted; `nil` where that cannot be had.
  var scratch: ScratchKind?

  /// What the network is told.
  ///
  /// - Parameters:
  ///   - hasTunnels: whether gangs can have networks of their own there.
  ///   - leadsOut: whether they can reach the internet.
  func capability(hasTunnels: Bool, leadsOut: Bool) -> NodeFacts.Isolation? {
    let fit = reports.filter(\.isFitForStrangers)
    guard let used = fit.first else { return nil }
    return NodeFacts.Isolation(
      drivers: fit.map { NodeMeasurements.Driver($0).name }, scratch: scratch?.rawValue,
      missingLimits: used.missingLimits.map(Self.name).sorted(),
      egress: ["none"] + (hasTunnels ? ["gang"] : []) + (hasTunnels && leadsOut ? ["internet"] : [])
    )
  }

  /// As control groups call it.
  private static func name(_ limit: SandboxLimit) -> String {
    switch limit {
    case .memory: "memory"
    case .processes: "pids"
    case .cpu: "cpu"
    }
  }
}
