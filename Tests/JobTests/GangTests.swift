import Distributed
import IorunContract
import IorunCore
import IorunMesh
import IorunRuntime
import Synchronization
import Testing

@testable import IorunJob

/// Counts, from any task.
private final class Tally: Sendable {
  private let state = Mutex(0)
  var count: Int { state.withLock { $0 } }
  func add() { state.withLock { $0 += 1 } }
}

/// What the ranks of a gang compute in common.
@Suite(.timeLimit(.minutes(3)))
struct GangTests {
  /// A gang on an in-process network.
  struct World {
    let network = InProcessNetwork()
    let peers: [PeerID]
    let gangs: [Gang]
    private let rings: [RingMember]

    init(ranks: Int) throws {
      peers = (0..<ranks).map { PeerID(high: 1, low: UInt64($0 + 1)) }
      let network = network
      let systems = peers.map { MeshActorSystem(transport: network.join($0)) }
      rings = systems.map { system in
        system.named(RingMember.wellKnownName) { RingMember(actorSystem: system) }
      }
      let job = try #require(JobID("job-abcdefgh"))
      var gangs: [Gang] = []
      for rank in 0..<ranks {
        gangs.append(
          try Gang(
            view: GangView(
              lease: LeaseID(job: job, attempt: 1, rank: rank), members: peers),
            ring: rings[rank], system: systems[rank]))
      }
      self.gangs = gangs
    }

    /// Every rank's sum, or error, by rank.
    func allReduce(_ vectors: [[Float]]) async -> [Result<[Float], any Error>] {
      await withTaskGroup(of: (Int, Result<[Float], any Error>).self) { group in
        for (rank, vector) in vectors.enumerated() {
          group.addTask { [gangs] in
            var values = vector
            do {
              try await gangs[rank].allReduce(&values)
              return (rank, .success(values))
            } catch { return (rank, .failure(error)) }
          }
        }
        var results = [Int: Result<[Float], any Error>]()
        for await (rank, result) in group { results[rank] = result }
        return vectors.indices.compactMap { results[$0] }
      }
    }
  }

  private func vector(_ length: Int, rank: Int) -> [Float] {
    (0..<length).map { Float(($0 &* 31 + rank &* 17) % 1000) / 7 }
  }

  @Test(
    "the sum is right and the same bits on every rank",
    arguments: [1, 2, 3, 5], [0, 1, 2, 7, 1000, 300_000])
  func sum(ranks: Int, length: Int) async throws {
    let world = try World(ranks: ranks)
    let vectors = (0..<ranks).map { vector(length, rank: $0) }
    let results = try await world.allReduce(vectors).map { try $0.get() }
    for result in results.dropFirst() {
      #expect(result.elementsEqual(results[0]) { $0.bitPattern == $1.bitPattern })
    }
    #expect(results[0].count == length)
    let isRight = results[0].indices.allSatisfy { index in
      let expected = vectors.reduce(0.0) { $0 + Double($1[index]) }
      return abs(Double(results[0][index]) - expected) <= 1e-5 * max(1, abs(expected))
    }
    #expect(isRight)
  }

  @Test func `collectives that follow each other do not mix`() async throws {
    let world = try World(ranks: 3)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for gang in world.gangs {
        group.addTask {
          for round in 0..<100 {
            var values = [Float(round), Float(gang.rank)]
            try await gang.allReduce(&values)
            #expect(values == [Float(3 * round), 3])
          }
        }
      }
      try await group.waitForAll()
    }
  }

  @Test func `no rank leaves a barrier before the last has come`() async throws {
    let world = try World(ranks: 3)
    let arrived = Tally()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for gang in world.gangs {
        group.addTask {
          for _ in 0..<(gang.rank * 50) { await Task.yield() }
          arrived.add()
          try await gang.barrier()
          #expect(arrived.count == 3)
        }
      }
      try await group.waitForAll()
    }
  }

  @Test(
    "vectors of different lengths fail every rank, and none waits forever",
    arguments: [
      [3, 3, 4], [4, 3, 3], [0, 1, 0], [131_072 * 3, 131_072 * 3, 131_073 * 3], [1, 400_000, 1],
      [5, 6],
    ])
  func lengths(_ lengths: [Int]) async throws {
    let world = try World(ranks: lengths.count)
    let vectors = lengths.enumerated().map { vector($1, rank: $0) }
    let results = await world.allReduce(vectors)
    #expect(results.count == lengths.count)
    for result in results {
      #expect { _ = try result.get() } throws: { ($0 as? IorunError)?.code == .malformed }
    }
  }

  @Test func `a rank that is gone fails all others`() async throws {
    let world = try World(ranks: 4)
    for result in await world.allReduce((0..<4).map { vector(10, rank: $0) }) {
      #expect(throws: Never.self) { try result.get() }
    }
    world.network.leave(world.peers[1])
    let clock = Task {
      while !Task.isCancelled {
        world.network.advance(by: .seconds(1))
        await Task.yield()
      }
    }
    var others = world.gangs
    others.remove(at: 1)
    let codes = await withTaskGroup(of: IorunError.Code?.self) { group in
      for gang in others {
        group.addTask {
          var values: [Float] = [1, 2, 3, 4]
          do { try await gang.allReduce(&values) } catch { return (error as? IorunError)?.code }
          return nil
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    clock.cancel()
    await clock.value
    #expect(codes.allSatisfy { $0 == .peerLost || $0 == .unreachable }, "\(codes)")
  }

  @Test func `a cancelled rank fails the others`() async throws {
    let world = try World(ranks: 3)
    let first = Task {
      var values: [Float] = [1]
      try await world.gangs[0].allReduce(&values)
    }
    first.cancel()
    await #expect(throws: (any Error).self) { try await first.value }
    for gang in world.gangs.dropFirst() {
      var values: [Float] = [1]
      await #expect(throws: IorunError.self) { try await gang.allReduce(&values) }
    }
  }

  @Test func `a list of ranks that does not name this process is refused`() throws {
    let network = InProcessNetwork()
    let system = MeshActorSystem(transport: network.join(PeerID(high: 1, low: 1)))
    let job = try #require(JobID("job-abcdefgh"))
    for rank in [-1, 0, 1, 5] {
      #expect(throws: IorunError.self) {
        try Gang(
          view: GangView(
            lease: LeaseID(job: job, attempt: 1, rank: rank),
            members: [PeerID(high: 9, low: 9), PeerID(high: 9, low: 8)]),
          ring: RingMember(actorSystem: system), system: system)
      }
    }
  }
}
