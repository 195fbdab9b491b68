public import IorunContract

/// How an agent's ranks share their machine with whatever else is given out there: both sides take from
/// one book, so that neither gives away what the other holds.
public struct MachineShare: Sendable {
  /// Sets aside what a grant holds. Throws `wrongState` where it is not free.
  public var reserve: @Sendable (LeaseGrant) async throws -> Void
  /// The grant's cores, memory and accelerators are free again. Any number of times.
  public var release: @Sendable (LeaseID) -> Void

  /// Describes a share.
  public init(
    reserve: @escaping @Sendable (LeaseGrant) async throws -> Void,
    release: @escaping @Sendable (LeaseID) -> Void
  ) {
    self.reserve = reserve
    self.release = release
  }

  /// The ranks have the machine for themselves.
  public static let whole = MachineShare(reserve: { _ in }, release: { _ in })
}
