import Distributed
import IorunCore
import IorunMesh
import IorunWire
import Testing

@testable import IorunRuntime

/// Calls of one caller to one actor are executed in the order in which they were made.
@Suite(.timeLimit(.minutes(3)))
struct OrderTests {
  /// Puts `count` calls on the wire one after the other, as one caller does, without waiting for
  /// answers.
  private func fire(
    _ count: Int, target: String, actor: String, from world: InProcessWorld
  ) async throws {
    for number in 0..<count {
      // A long loop lets other tests have its thread.
      if number % 500 == 0 { await Task.yield() }
      try world.client.transport.send(
        EnvelopeCodec.encode(
          .call(
            Envelope.Call(
              id: 1_000_000 + UInt64(number), actor: actor, target: target,
              arguments: CBOREncoder.encode(number), timeoutMilliseconds: 60_000))),
        to: InProcessWorld.serverPeer, in: .actor)
    }
  }

  @Test func `a hundred thousand calls are executed in order`() async throws {
    let world = try InProcessWorld()
    let target = try await TargetSpy.target(Counter.self) { try await $0.append(1) }
    let count = 100_000
    try await fire(count, target: target, actor: "counter", from: world)
    // The last in the queue: when it is answered, all before it are done.
    _ = try await world.remote.add(0, 0)
    #expect(try await world.counter.all() == Array(0..<count))
  }

  @Test func `calls that suspend are executed in order and one at a time`() async throws {
    let world = try InProcessWorld()
    let target = try await TargetSpy.target(Counter.self) { try await $0.overlap(1) }
    try await fire(5000, target: target, actor: "counter", from: world)
    #expect(try await world.remote.most() == 1)
    #expect(try await world.counter.all() == Array(0..<5000))
  }

  @Test func `an actor that allows more runs as many at once and no more`() async throws {
    let world = try InProcessWorld()
    let wide = world.server.named("wide") { Wide(actorSystem: world.server) }
    let target = try await TargetSpy.target(Wide.self) { try await $0.overlap() }
    try await fire(200, target: target, actor: "wide", from: world)
    let remote = try Wide.resolve(id: wide.id, using: world.client)
    #expect(try await remote.mostAtOnce() == 4)
  }

  @Test func `calls of many callers at once are all executed once`() async throws {
    let world = try InProcessWorld()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<2000 { group.addTask { _ = try await world.remote.slowly(number) } }
      try await group.waitForAll()
    }
    #expect(try await world.counter.all().sorted() == Array(0..<2000))
  }

  @Test func `calls over a bad network are executed once and in order`() async throws {
    let world = try InProcessWorld()
    world.network.setFaults(.init(seed: 30, loss: 0.1, duplication: 0.1))
    let call = Task {
      for number in 0..<100 { try await world.remote.append(number) }
      return try await world.remote.all()
    }
    let clock = Task {
      while !Task.isCancelled {
        world.network.advance(by: .milliseconds(50))
        await Task.yield()
      }
    }
    #expect(try await call.value == Array(0..<100))
    clock.cancel()
    await clock.value
  }
}
