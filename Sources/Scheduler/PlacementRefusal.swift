/// Why a gang was not placed.
public struct PlacementRefusal: Sendable, Hashable {
  /// How many nodes were seen and what each of them lacks, or what is wrong with the request.
  public var finding: String
  /// Single changes of the request with which it would be placed, the nearest first.
  public var changes: [String]
  /// True where the gang would fit if running jobs ended; false where it never fits on the nodes
  /// that are alive and not excluded.
  public var fitsWhenIdle: Bool
  /// True where `finding` says all that there is to say.
  private let isComplete: Bool
  /// What became of all GPUs or nodes; `nil` for a request that is wrong in itself.
  public var funnel: GangFunnel?

  /// A refusal whose words are complete, for example of a request that is wrong in itself.
  public init(explanation: String, fitsWhenIdle: Bool, funnel: GangFunnel? = nil) {
    self.funnel = funnel
    finding = explanation
    changes = []
    self.fitsWhenIdle = fitsWhenIdle
    isComplete = true
  }

  /// A refusal with the changes that would help.
  public init(
    finding: String, changes: [String], fitsWhenIdle: Bool, funnel: GangFunnel? = nil
  ) {
    self.funnel = funnel
    self.finding = finding
    self.changes = changes
    self.fitsWhenIdle = fitsWhenIdle
    isComplete = false
  }

  /// Why, for the person who asked: how many nodes were seen, what each of them lacks, the nearest
  /// miss, and what to change.
  public var explanation: String {
    let change = changes.isEmpty ? nil : changes.joined(separator: ", or ")
    switch (isComplete, fitsWhenIdle, change) {
    case (true, _, nil): return finding
    case (true, _, let change?): return "\(finding); or \(change)"
    case (false, true, nil): return "\(finding); it fits once running jobs end"
    case (false, true, let change?):
      return "\(finding); it fits once running jobs end; to start now, \(change)"
    case (false, false, let change?): return "\(finding); \(change)"
    case (false, false, nil):
      return "\(finding); add nodes, or larger ones, with `iorun join`"
    }
  }
}
