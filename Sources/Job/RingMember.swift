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

  /// Numbers of one part, and how many the whole vector has.
  struct Piece: Codable, Sendable {
    var vectorLength: Int
    var values: [Float]
  }

  private var arrived: [Slot: Piece] = [:]
  private var waiting: [Slot: CheckedContinuation<Piece, any Error>] = [:]
  /// Why this gang's collectives are over, once one has failed.
  private var failure: IorunError?

  init(actorSystem: MeshActorSystem) { self.actorSystem = actorSystem }

  /// Says that this rank is there.
  ///
  /// - Throws: why its collectives are over.
  distributed func ready() throws {
    if let failure { throw failure }
  }

  /// Brings a piece from the previous rank.
  distributed func push(_ slot: Slot, _ piece: Piece) throws {
    if let failure { throw failure }
    if let continuation = waiting.removeValue(forKey: slot) {
      continuation.resume(returning: piece)
    } else {
      arrived[slot] = piece
    }
  }

  /// Says that the previous rank's collective failed: nothing more comes from it.
  distributed func abandon(_ error: IorunError) { fail(error) }

  /// Ends every wait, present and future.
  func fail(_ error: IorunError) {
    if failure == nil { failure = error }
    for continuation in waiting.values { continuation.resume(throwing: error) }
    waiting = [:]
    arrived = [:]
  }

  /// The piece for a slot, when it has arrived.
  func take(_ slot: Slot) async throws -> Piece {
    if let failure { throw failure }
    if let piece = arrived.removeValue(forKey: slot) { return piece }
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
