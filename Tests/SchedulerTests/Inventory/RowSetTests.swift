import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Rows of an inventory as bits and as bytes")
struct RowSetTests {
  @Test("what is known of rows moves with them, whoever joins and leaves", arguments: 1...40)
  func moves(seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed))
    let count = Int.random(in: 0...300, using: &random)
    var set = RowSet(count: count)
    var tree = ScoreTree(count: count)
    var members: Set<Int> = []
    for row in 0..<count where Bool.random(using: &random) {
      set.insert(row)
      members.insert(row)
      tree.set(UInt8.random(in: 1...101, using: &random), at: row)
    }
    for row in 0..<count where Int.random(in: 0..<5, using: &random) == 0 {
      set.remove(row)
      members.remove(row)
      tree.set(0, at: row)
    }
    // Long runs and short ones.
    let churn = Int.random(in: 2...60, using: &random)
    var before: [Int] = []
    for row in 0..<count {
      while Int.random(in: 0..<churn, using: &random) == 0 { before.append(-1) }
      if Int.random(in: 0..<churn, using: &random) > 0 { before.append(row) }
    }
    let move = RowMove(before)
    let (moved, movedTree) = (set.moved(move), tree.moved(move))
    let column = move.moved(Array(0..<count), new: -1)
    #expect(column == before, "seed \(seed)")
    for (new, old) in before.enumerated() {
      #expect(moved.contains(new) == members.contains(old), "seed \(seed), row \(new)")
      #expect(movedTree[new] == (old < 0 ? 0 : tree[old]), "seed \(seed), row \(new)")
    }
    let scores = before.indices.map { movedTree[$0] }
    let best = scores.max().flatMap { most in most > 0 ? scores.firstIndex(of: most) : nil }
    #expect(movedTree.best == best, "seed \(seed)")
    for block in moved.words.indices {
      let rows = Array(SetBits(moved.words[block], base: block * RowSet.width))
      #expect(rows == before.indices.filter { moved.contains($0) && $0 / RowSet.width == block })
      #expect(movedTree.most(ofBlock: block) == (rows.map { scores[$0] }.max() ?? 0))
    }
  }

  @Test("sums stay exact beyond 64 bits, and are the greatest number where they do not fit")
  func totals() {
    var totals = AmountTotals()
    let (huge, small) = (Amounts(repeating: .max), Amounts(1, 2, 3, 4))
    totals.add(small)
    totals.add(huge)
    totals.add(huge)
    #expect((0..<4).allSatisfy { totals[$0] == .max })
    totals.subtract(huge)
    #expect(totals[0] == .max)
    totals.subtract(huge)
    #expect((0..<4).map { totals[$0] } == [1, 2, 3, 4])
  }
}
