internal import Distributed
internal import IorunContract
public import IorunCore
internal import IorunRuntime
internal import Synchronization

/// The ranks of a job that run together, and what they compute in common.
///
/// Collectives must be called by every rank, in the same order, one at a time.
public final class Gang: Sendable {
  /// This process's rank, from 0.
  public let rank: Int
  /// How many ranks there are.
  public let worldSize: Int
  /// The mesh identity of each rank's process, by rank: the peer of its distributed actors.
  public let members: [PeerID]

  /// The most numbers that travel in one call: half a megabyte.
  static let segmentLength = 128 * 1024
  /// How often a rank that waits for the previous one asks whether it is still there.
  static let watchInterval = Duration.seconds(1)

  private let ring: RingMember
  private let next: RingMember
  private let previous: RingMember
  private let collectives = Mutex<UInt64>(0)

  init(view: GangView, ring: RingMember, system: MeshActorSystem) throws {
    rank = view.lease.rank
    worldSize = view.members.count
    members = view.members
    guard members.indices.contains(rank), members[rank] == system.localPeer else {
      throw IorunError(.internalFault, "the agent's list of ranks does not name this process")
    }
    self.ring = ring
    next = try RingMember.at(members[(rank + 1) % members.count], using: system)
    previous = try RingMember.at(
      members[(rank + members.count - 1) % members.count], using: system)
  }

  /// Waits until the next rank's process is there.
  func connect(within limit: Duration) async throws {
    guard worldSize > 1 else { return }
    let deadline = ContinuousClock.now + limit
    while true {
      do {
        try await next.ready()
        return
      } catch let error as IorunError
        where error.code == .actorNotFound || error.code == .unreachable || error.code == .peerLost
      {
        // Its process may still be starting, or its agent waiting for it.
        guard ContinuousClock.now < deadline else {
          throw IorunError(
            .timedOut, "rank \((rank + 1) % worldSize) did not come within \(limit)",
            cause: error)
        }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  /// Adds up the vectors of all ranks, element by element; afterwards every rank holds the same bits.
  ///
  /// A ring all-reduce (Patarasuk and Yuan, 2009): each rank sends and receives
  /// 2 (N - 1) / N of the vector, whatever the number of ranks N.
  ///
  /// - Parameter values: as many numbers as every other rank passes.
  /// - Throws: `peerLost`, `unreachable` or `timedOut` where a rank is gone; `malformed` where the
  ///   lengths differ. The ranks are then out of step: every rank's collective fails with that error,
  ///   and so does every later one.
  public func allReduce(_ values: inout [Float]) async throws {
    guard worldSize > 1 else { return }
    let collective = collectives.withLock { count in
      count += 1
      return count
    }
    do {
      try await reduce(&values, collective)
    } catch {
      await breakOff(error)
      throw error
    }
  }

  private func reduce(_ values: inout [Float], _ collective: UInt64) async throws {
    let parts = Self.parts(of: values.count, among: worldSize)
    for step in 0..<(2 * (worldSize - 1)) {
      let isReducing = step < worldSize - 1
      let turn = isReducing ? step : step - worldSize
      let outgoing = parts[wrapped(rank - turn)]
      let incoming = parts[wrapped(rank - turn - 1)]
      let received = try await exchange(
        Array(values[outgoing]), expecting: incoming.count, of: values.count,
        collective: collective, step: step)
      if isReducing {
        for (offset, value) in received.enumerated() {
          values[incoming.lowerBound + offset] += value
        }
      } else {
        values.replaceSubrange(incoming, with: received)
      }
    }
  }

  /// Returns when every rank has called it.
  ///
  /// - Throws: as `allReduce`.
  public func barrier() async throws {
    var token = [Float](repeating: 1, count: worldSize)
    try await allReduce(&token)
  }

  /// Sends a part to the next rank while it takes one from the previous; both are of a vector of
  /// `length` numbers.
  private func exchange(
    _ outgoing: [Float], expecting count: Int, of length: Int, collective: UInt64, step: Int
  ) async throws -> [Float] {
    try await withThrowingTaskGroup(of: [Float]?.self) { group in
      for (segment, range) in Self.segments(of: outgoing.count).enumerated() {
        let slot = RingMember.Slot(collective: collective, step: step, segment: segment)
        let piece = RingMember.Piece(vectorLength: length, values: Array(outgoing[range]))
        group.addTask { [next] in
          try await next.push(slot, piece)
          return nil
        }
      }
      group.addTask {
        try await self.receive(count, of: length, collective: collective, step: step)
      }
      // A neighbour that is gone fails the send, which cancels the wait for the other one.
      return try await group.reduce(into: [Float]()) { $0 = $1 ?? $0 }
    }
  }

  /// Takes a part from the previous rank, and watches that rank while it waits.
  private func receive(
    _ count: Int, of length: Int, collective: UInt64, step: Int
  ) async throws -> [Float] {
    try await withThrowingTaskGroup(of: [Float].self) { group in
      group.addTask { [ring] in
        var received: [Float] = []
        for segment in Self.segments(of: count).indices {
          let slot = RingMember.Slot(collective: collective, step: step, segment: segment)
          guard let piece = try await ring.whenLocal({ try await $0.take(slot) }),
            piece.vectorLength == length
          else {
            throw IorunError(
              .malformed, "rank \(self.wrapped(self.rank - 1)) passed a vector of another length",
              remedy: "Call allReduce with vectors of the same length on every rank")
          }
          received += piece.values
        }
        return received
      }
      group.addTask { [previous] in
        while true {
          try await Task.sleep(for: Self.watchInterval)
          try await previous.ready()
        }
      }
      defer { group.cancelAll() }
      // The watch ends by an error only.
      return try await group.next() ?? []
    }
  }

  /// Makes this rank's collectives fail from now on, and those of the ranks that wait for it.
  private func breakOff(_ error: any Error) async {
    let failure = error as? IorunError ?? IorunError(.cancelled, "a rank gave up", cause: error)
    _ = await ring.whenLocal { $0.fail(failure) }
    // A task of its own: where this one was cancelled, the next rank must hear of it all the same.
    let word = Task { [next] in
      try await MeshActorSystem.$callTimeout.withValue(.seconds(2)) {
        try await next.abandon(failure)
      }
    }
    // Best effort: a rank that does not hear it finds out by its own watch.
    _ = await word.result
  }

  private func wrapped(_ index: Int) -> Int {
    ((index % worldSize) + worldSize) % worldSize
  }

  /// Cuts `count` elements into as many nearly equal parts as there are ranks.
  static func parts(of count: Int, among ranks: Int) -> [Range<Int>] {
    (0..<ranks).map { (count * $0 / ranks)..<(count * ($0 + 1) / ranks) }
  }

  /// Cuts a part into pieces that fit one call; an empty part is one empty piece.
  static func segments(of count: Int) -> [Range<Int>] {
    guard count > 0 else { return [0..<0] }
    return stride(from: 0, to: count, by: segmentLength).map {
      $0..<min($0 + segmentLength, count)
    }
  }
}
