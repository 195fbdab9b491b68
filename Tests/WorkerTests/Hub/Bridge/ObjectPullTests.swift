import IorunCore
import TestSupport
import Testing

@testable import IorunWorker

/// Fetching an object from several nodes at once.
struct ObjectPullTests {
  private let nodes = (1...3).map { NodeID(high: 0, low: $0) }

  @Test func `one request fetches a small object`() {
    var pull = ObjectPull(size: 1 << 18, sources: [nodes[0]])
    let request = ObjectPull.Request(source: nodes[0], offset: 0, count: 1 << 18)
    #expect(pull.begin() == .ask([request]))
    #expect(pull.received(request) == .done)
  }

  @Test func `an empty object needs no request`() {
    var pull = ObjectPull(size: 0, sources: nodes)
    #expect(pull.begin() == .done)
  }

  @Test func `all sources are asked, within their windows`() {
    var pull = ObjectPull(size: 1 << 40, sources: nodes)
    guard case .ask(let requests) = pull.begin() else {
      Issue.record("nothing is asked")
      return
    }
    #expect(requests.count == 3 * ObjectPull.window)
    for node in nodes {
      #expect(requests.count { $0.source == node } == ObjectPull.window)
    }
  }

  @Test func `an object that no source has is lost`() {
    var pull = ObjectPull(size: 10, sources: [nodes[0], nodes[1]])
    guard case .ask(let first) = pull.begin(), case .ask(let second) = pull.failed(first[0]) else {
      Issue.record("the other source is not asked")
      return
    }
    #expect(second.map(\.source) == [nodes[1]])
    #expect(pull.failed(second[0]) == .lost)
  }

  @Test(arguments: 0..<50 as Range<UInt64>)
  func `every byte is fetched once, though sources fail`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let size = Int64.random(in: 1...(20 << 20), using: &random)
    var pull = ObjectPull(size: size, sources: nodes)
    var open: [ObjectPull.Request] = []
    var fetched: [Int64: Int] = [:]
    var failing = Set(nodes.dropLast().filter { _ in Bool.random(using: &random) })
    func take(_ step: ObjectPull.Step) -> Bool {
      switch step {
      case .ask(let requests): open += requests
      case .done: return true
      case .lost: Issue.record("seed \(seed): lost, though one source is good")
      }
      return false
    }
    var isDone = take(pull.begin())
    while !isDone, let index = open.indices.randomElement(using: &random) {
      let request = open.remove(at: index)
      if failing.contains(request.source) {
        isDone = take(pull.failed(request))
      } else {
        #expect(fetched.updateValue(request.count, forKey: request.offset) == nil)
        isDone = take(pull.received(request))
      }
      if Int.random(in: 0..<100, using: &random) == 0 { failing.formUnion(nodes.dropLast()) }
    }
    #expect(isDone, "seed \(seed)")
    #expect(fetched.values.reduce(0, +) == Int(size), "seed \(seed)")
  }
}
