internal import IorunContract

/// How proofs take the machine: all of it while nobody else has anything of it, from the same book as
/// leases, and only until somebody wants some.
struct IdleMachine: Sendable {
  /// Takes all cores and so many bytes of memory. False where anything is in use. `wanted` is called
  /// at most once, on any thread, and must not wait.
  var take: @Sendable (_ memory: Int64, _ wanted: @escaping @Sendable () -> Void) async -> Bool
  /// They are free again. Any number of times.
  var giveBack: @Sendable () -> Void

  /// Nobody else is here.
  static let whole = IdleMachine(take: { _, _ in true }, giveBack: {})

  /// The machine of a hub's book.
  static func of(_ mailbox: HubMailbox) -> IdleMachine {
    IdleMachine(
      take: { await RuntimeHub.admitScavenger(memory: $0, mailbox, wanted: $1) },
      giveBack: { mailbox.post { $0.scheduler.scavengerLeft() } })
  }
}
