import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunHead

@Suite("The line of those who wait for room")
struct WaitingLineTests {
  private let shapes = (0..<4).map { DemandShape.group(GroupID(high: 1, low: UInt64($0))) }

  @Test("a shape whose last one was taken out is held no more")
  func empties() {
    var line = WaitingLine()
    line.add(.lease(1), shape: shapes[0], since: .zero, at: line.takePlace())
    let before = line.holds(shapes[0])
    #expect(before)
    line.remove(.lease(1))
    let after = line.holds(shapes[0])
    #expect(!after)
    #expect(line.isEmpty)
  }

  @Test("one that comes back has its old place")
  func comesBack() {
    var line = WaitingLine()
    let first = line.takePlace()
    line.add(.lease(1), shape: shapes[0], since: .zero, at: first)
    line.add(.lease(2), shape: shapes[0], since: .zero, at: line.takePlace())
    line.remove(.lease(1))
    let behind = line.front(of: shapes[0])?.item
    #expect(behind == .lease(2))
    line.add(.lease(1), shape: shapes[0], since: .zero, at: first)
    let front = line.front(of: shapes[0])?.item
    #expect(front == .lease(1))
  }

  @Test("whatever comes and goes, each shape is served in order of coming", arguments: 0..<100)
  func property(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var line = WaitingLine()
    var model: [Int: [(place: UInt64, item: UInt64)]] = [:]
    var next: UInt64 = 0
    for _ in 0..<400 {
      let lane = Int.random(in: 0..<4, using: &random)
      switch Int.random(in: 0..<3, using: &random) {
      case 0:
        next += 1
        let place = line.takePlace()
        line.add(.lease(next), shape: shapes[lane], since: .zero, at: place)
        model[lane, default: []].append((place, next))
      case 1:
        guard let (index, gone) = model[lane]?.enumerated().randomElement(using: &random) else {
          continue
        }
        line.remove(.lease(gone.item))
        model[lane]?.remove(at: index)
      default:
        // The first one is tried, refused, and comes back.
        guard let front = line.front(of: shapes[lane]) else { continue }
        line.remove(front.item)
        line.add(front.item, shape: shapes[lane], since: .zero, at: front.number)
      }
      #expect(line.count == model.values.reduce(0) { $0 + $1.count })
      for lane in 0..<4 {
        let first = model[lane]?.first
        let front = line.front(of: shapes[lane])?.item
        #expect(front == first.map { .lease($0.item) })
      }
      let fronts = line.fronts().map(\.entry.number)
      #expect(fronts == fronts.sorted())
    }
  }
}
