internal import Foundation

/// A device's rating in one run: a test of its own for each capability, the kinds of work that it is
/// asked for. It is verified once every capability is, and fails with the first that fails: a fast
/// search makes up for no missing core, and cores for no missing memory.
public struct DeviceRating: Hashable, Codable, Sendable {
  /// One capability, with its rounds.
  public struct Capability: Hashable, Codable, Sendable {
    /// The kind of work.
    public let kind: PuzzleKind
    /// Its rounds.
    public fileprivate(set) var test: RateTest

    /// Describes a capability.
    public init(kind: PuzzleKind, test: RateTest) {
      self.kind = kind
      self.test = test
    }
  }

  /// The capabilities, in the order in which they are asked for.
  public private(set) var capabilities: [Capability]

  /// Begins a run, with what an undecided one left over of each kind.
  public init(_ kinds: [PuzzleKind], carried: [PuzzleKind: Double] = [:]) {
    capabilities = kinds.map { kind in
      Capability(kind: kind, test: RateTest(rule: .of(kind), carried: carried[kind] ?? 0))
    }
  }

  /// The test of a kind; `nil` where the device is not asked for it.
  public subscript(kind: PuzzleKind) -> RateTest? {
    capabilities.first { $0.kind == kind }?.test
  }

  /// The kind of the next round; `nil` where the run is over. Of those that need no preparation the
  /// one with the fewest rounds; memory, which has to be filled, once these are verified. A GPU's memory and
  /// its products are one round, at one instant (``PuzzleKind/besides``).
  public var next: PuzzleKind? {
    guard decision == .undecided else { return nil }
    let open = capabilities.filter { !$0.test.isOver }
    let light = open.filter { !$0.kind.needsTable && $0.kind != .product }
    if let first = light.min(by: { $0.test.rounds < $1.test.rounds }) { return first.kind }
    // What has used up its rounds will not be verified: no need to fill anything.
    let isHopeless = capabilities.contains { $0.test.isOver && $0.test.decision == .undecided }
    guard !isHopeless, let first = open.first?.kind else { return nil }
    let walks = capabilities.first { $0.kind.besides == first }
    return walks?.kind ?? first
  }

  /// Takes in a round.
  public mutating func add(_ kind: PuzzleKind, measured: Double, expected: Double) {
    guard let index = capabilities.firstIndex(where: { $0.kind == kind }) else { return }
    capabilities[index].test.add(measured: measured, expected: expected)
  }

  /// What all rounds say.
  public var decision: RateTest.Decision {
    let decisions = capabilities.map(\.test.decision)
    if decisions.contains(.failed) { return .failed }
    return !decisions.isEmpty && decisions.allSatisfy { $0 == .verified } ? .verified : .undecided
  }

  /// True where a capability is so far above the claim that the device must be another model.
  public var isMismatch: Bool { capabilities.contains { $0.test.isMismatch } }

  /// Rounds of all kinds.
  public var rounds: Int { capabilities.reduce(0) { $0 + $1.test.rounds } }

  /// What the tests that are undecided leave over.
  public var carried: [PuzzleKind: Double] {
    Dictionary(
      uniqueKeysWithValues: capabilities.lazy.filter { $0.test.decision == .undecided }
        .map { ($0.kind, $0.test.evidence) })
  }

  /// What was decided of each kind.
  public var decided: [PuzzleKind: RateTest.Decision] {
    Dictionary(
      uniqueKeysWithValues: capabilities.lazy.filter { $0.test.decision != .undecided }
        .map { ($0.kind, $0.test.decision) })
  }
}

extension PuzzleKind {
  /// True where memory is filled before the work begins, which is not timed.
  public var needsTable: Bool { self == .memory || self == .gpuMemory }

  /// True for what no GPU is asked for.
  public var isOnProcessor: Bool { self != .product && self != .gpuMemory }

  /// What is asked for at the same instant, in the same round: a chip's memory and what computes on it must be
  /// there at once.
  public var besides: PuzzleKind? { self == .gpuMemory ? .product : nil }
}

extension RateTest.Rule {
  /// The figures for a kind of work. Memory is measured against what is out of reach without it
  /// (`MemoryPlan`), not against the device's own rate: to be far above that is no other model.
  public static func of(_ kind: PuzzleKind) -> RateTest.Rule {
    var rule = RateTest.Rule()
    if kind.needsTable { rule.mismatchRatio = 1e9 }
    return rule
  }
}
