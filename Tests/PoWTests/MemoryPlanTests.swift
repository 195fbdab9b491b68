import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

/// Memory as the network asks for it: how large a table, how slow its labels, and what comes of a
/// device that has not all of it.
@Suite("Memory that a device states")
struct MemoryPlanTests {
  private let world: PoWWorld

  init() throws { world = try PoWWorld() }

  @Test("without a tenth of the labels nobody walks as fast as expected, whatever it claims")
  func bound() throws {
    let lane = 55e6
    for walk in [3e6, 5e6, 12e6, 26e6, 80e6] {
      let plan = try #require(
        MemoryPlan(
          memory: 1 << 34, cores: 1, laneRate: lane, walkRate: walk, fillSeconds: 60,
          walkSeconds: 1))
      // Making a tenth of the labels anew takes all the time that there is.
      let allowed = 1 / plan.expectedRate
      #expect(0.1 * Double(plan.labelSteps) / lane >= allowed * 0.999, "\(walk)")
      #expect(plan.expectedRate >= walk / MemoryPlan.slack)
      #expect(plan.fillSeconds(laneRate: lane) <= 60.1)
      #expect(plan.tableByteCount <= 1 << 34)
      #expect(abs(Double(try plan.puzzle().steps) / walk - 1) < 0.1)
    }
    // Memory slower than any label can tell has to be faster than it says.
    let slow = try #require(
      MemoryPlan(
        memory: 1 << 34, cores: 1, laneRate: lane, walkRate: 1e5, fillSeconds: 60, walkSeconds: 1))
    #expect(slow.expectedRate > 1e5)
  }

  @Test("a table never takes more than there is, and trees count; too little is no table")
  func sizes() throws {
    for memory in [1 << 20, 1 << 24, 1 << 30] {
      let plan = try #require(
        MemoryPlan(
          memory: memory, cores: 2, laneRate: 1e9, walkRate: 1e6, fillSeconds: 1e6,
          walkSeconds: 0.1))
      #expect(Puzzle.memory(try plan.puzzle()).memoryByteCount <= memory)
      #expect(plan.labels >= MemoryPuzzle.allowedLabels.lowerBound)
    }
    func plan(memory: Int = 1 << 24, lane: Double = 1e6, walk: Double = 1e6) -> MemoryPlan? {
      MemoryPlan(
        memory: memory, cores: 1, laneRate: lane, walkRate: walk, fillSeconds: 1, walkSeconds: 1)
    }
    #expect(plan(memory: 1000) == nil && plan(memory: .min + (1 << 40)) == nil)
    for rate in [0, -1, Double.nan, .infinity] {
      #expect(plan(lane: rate) == nil && plan(walk: rate) == nil)
    }
    #expect(plan(walk: 1e300) == nil || plan(walk: 1e300)?.segments == 1 << 16)
  }

  @Test(
    "swapped or missing memory: who lacks a tenth of its table gives right answers, and too late",
    arguments: [(1.0, RateTest.Decision.verified), (0.9, .failed), (0.8, .failed), (0.5, .failed)])
  func missing(held: Double, decision: RateTest.Decision) throws {
    let (lane, walk) = (1e6, 4e5)
    let plan = try #require(
      MemoryPlan(
        memory: 1 << 20, cores: 1, laneRate: lane, walkRate: walk, fillSeconds: 0.12,
        walkSeconds: 0.02))
    var rating = DeviceRating([.memory])
    for round in 0..<4 where rating.decision == .undecided {
      let challenge = try world.challenge(.memory(plan.puzzle()), round: round)
      let walker = try PartialWalker(challenge, plan.puzzle(), held: held)
      let commitment = try Commitment(
        challenge, roots: [walker.tree.root], signedBy: .device(world.key))
      let request = try world.verifier.request(
        for: commitment, from: .anybody, epoch: challenge.epoch,
        nowMilliseconds: PoWWorld.opens + 1)
      let proof = try Proof(
        challenge,
        .opened(roots: [walker.tree.root], pieces: request.places.map { walker.open($0.index) }),
        signedBy: .device(world.key))
      // What its work takes at the rates that it has.
      let seconds = Double(walker.steps) / walk + Double(walker.remade) / lane
      let verdict = try world.verdict(
        proof, arrival: PoWWorld.opens + Int64((seconds * 1000).rounded(.up)))
      #expect(verdict.refusal == nil)
      rating.add(.memory, measured: verdict.rate, expected: plan.expectedRate)
    }
    #expect(rating.decision == decision)
    #expect(!rating.isMismatch)
  }

  @Test("a table that was ordered serves the walks over it, and a refused one takes no memory")
  func orders() async throws {
    let puzzle = try MemoryPuzzle(
      labels: 2000, labelSteps: 3, cores: 2, segments: 5, segmentSteps: 4, openings: 8)
    let challenge = try world.challenge(.memory(puzzle))
    let order = try TableOrder(
      device: world.device, epoch: challenge.epoch, beacon: challenge.beacon, labels: 2000,
      labelSteps: 3)
    #expect(order.seed == challenge.tableSeed)
    let filler = try Solver(filling: order, threads: 2, memory: order.byteCount)
    guard case .committed(let filled) = try await filler.solve() else {
      Issue.record("nothing was filled")
      return
    }
    #expect(filler.progress.done == 6000)
    let solved = try await world.solve(challenge, table: filled.table)
    #expect(try world.verdict(solved.proof).isAccepted)
    #expect(solved.work?.table === filled.table)

    #expect(throws: IorunError.self) {
      _ = try Solver(filling: order, threads: 2, memory: order.byteCount - 1)
    }
    let full = try Solver(filling: order, threads: 2, memory: .max, hasRoom: { false })
    await #expect {
      _ = try await full.solve()
    } throws: { ($0 as? IorunError)?.code == .noMemoryForProof }
  }

  @Test("an order with sizes that no puzzle has is no order")
  func badOrders() throws {
    let good = try TableOrder(
      device: world.device, epoch: 1, beacon: world.beacon, labels: 2000, labelSteps: 3)
    let text = String(decoding: try JSONEncoder().encode(good), as: UTF8.self)
    #expect(try JSONDecoder().decode(TableOrder.self, from: Data(text.utf8)) == good)
    for (before, after) in [
      ("2000", "-1"), ("2000", "9223372036854775807"), ("\"labelSteps\":3", "\"labelSteps\":0"),
      ("\"epoch\":1", "\"epoch\":-1"),
    ] {
      let bad = text.replacingOccurrences(of: before, with: after)
      #expect(bad != text)
      #expect(throws: (any Error).self) {
        try JSONDecoder().decode(TableOrder.self, from: Data(bad.utf8))
      }
    }
  }
}

/// A device of one core that keeps the first part of its labels only, and makes the others anew when
/// it meets them: the best that it can do.
private struct PartialWalker {
  let tree: MerkleTree
  let steps: Int
  /// Steps of lanes that went into labels that were not there.
  private(set) var remade = 0
  private let puzzle: MemoryPuzzle
  private let states: [UInt8]

  init(_ challenge: Challenge, _ puzzle: MemoryPuzzle, held: Double) throws {
    let tableSeed = try #require(challenge.tableSeed)
    let labels = Chain(seed: tableSeed.bytes)
    let walk = Chain(seed: challenge.seed.bytes)
    let kept = Int(Double(puzzle.labels) * held)
    let table = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * max(1, kept))
    defer { table.deallocate() }
    labels.fill(table, first: 0, count: kept, steps: UInt32(puzzle.labelSteps))
    let (walkers, leaves) = (MemoryPuzzle.walkersPerCore, puzzle.segments + 1)
    let tags = (0..<walkers).map { UInt32($0) }
    var now = tags.flatMap { MemoryWork.start(seed: challenge.seed.bytes, walker: $0) }
    var states = [UInt8](repeating: 0, count: 32 * puzzle.leafCount)
    for segment in 0...puzzle.segments {
      for _ in 0..<(segment > 0 ? puzzle.segmentSteps : 0) {
        for walker in 0..<walkers {
          let place = Int(
            Chain.place(now[8 * walker], now[8 * walker + 1], of: UInt64(puzzle.labels)))
          var label = Chain.labelStart(UInt64(place))
          if place < kept {
            for word in 0..<8 { label[word] = table[8 * place + word] }
          } else {
            labels.advance(&label, tags: [Chain.labelTag], steps: UInt64(puzzle.labelSteps))
            remade += puzzle.labelSteps
          }
          for word in 0..<8 { now[8 * walker + word] ^= label[word] }
        }
        walk.advance(&now, tags: tags, steps: 1)
      }
      for walker in 0..<walkers {
        let place = 32 * (walker * leaves + segment)
        states.replaceSubrange(
          place..<place + 32, with: Words.bytes(now[8 * walker..<8 * walker + 8]))
      }
    }
    self.puzzle = puzzle
    self.states = states
    steps = puzzle.steps
    tree = MerkleTree(leaves: states, width: 32)
  }

  func open(_ index: Int) -> OpenedPiece {
    let leaf = index / puzzle.segments * (puzzle.segments + 1) + index % puzzle.segments
    let leaves = [leaf, leaf + 1]
    return OpenedPiece(
      root: 0, index: index,
      values: leaves.compactMap { Digest(bytes: states[32 * $0..<32 * $0 + 32]) },
      paths: leaves.map { tree.path(to: $0) })
  }
}
