internal import Distributed
internal import IorunContract
internal import IorunCore
internal import IorunRuntime

/// One rank's place in the ring of its gang: takes what the previous rank sends and hands it to the
/// collective that waits for it.
distributed actor RingMember: WellKnownActor {
  typealias ActorSystem = MeshActorSystem
  static let wellKnownName = "ring"

  /// Which piece of which step of which collective.
  struct Slot: Hashable, Codable, Sendable {
    /// Counts the collectives of the gang; all ranks call them in the same order.
    var collective: UInt64
    var step: Int
    var segment: Int
  }

  private var arrived: [Slot: [Float]] = [:]
  private var waiting: [Slot: CheckedContinuation<[Float], any Error>] = [:]

  init(actorSystem: MeshActorSystem) { self.actorSystem = actorSystem }

  /// Says that this rank is there.
  distributed func ready() {}

  /// Brings a piece from the previous rank.
  distributed func push(_ slot: Slot, _ values: [Float]) {
    if let continuation = waiting.removeValue(forKey: slot) {
      continuation.resume(returning: values)
    } else {
      arrived[slot] = values
    }
  }

  /// The piece for a slot, when it has arrived.
  func take(_ slot: Slot) async throws -> [Float] {
    if let values = arrived.removeValue(forKey: slot) { return values }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if Task.isCancelled {
          continuation.resume(throwing: CancellationError())
        } else {
          waiting[slot] = continuation
        }
      }
    } onCancel: {
      Task { await self.whenLocal { $0.giveUp(slot) } }
    }
  }

  private func giveUp(_ slot: Slot) {
    waiting.removeValue(forKey: slot)?.resume(throwing: CancellationError())
  }
}
