import Distributed
import Foundation
import IorunCore
import IorunMesh
import Testing

@testable import IorunRuntime

/// Distributed actors over real CURVE-encrypted sockets, two endpoints in this process.
@Suite(.timeLimit(.minutes(3)))
struct ZeroMQRuntimeTests {
  struct Pair {
    let server: MeshActorSystem
    let client: MeshActorSystem
    let serverEndpoint: ZeroMQEndpoint
    let clientEndpoint: ZeroMQEndpoint

    init(listening: String = "tcp://127.0.0.1:0") async throws {
      let serverKey = try CurveKey()
      let clientKey = try CurveKey()
      serverEndpoint = try ZeroMQEndpoint(
        identity: serverKey, listening: [listening],
        admits: { $0 == clientKey.publicKey ? clientKey.peer : nil })
      server = MeshActorSystem(transport: serverEndpoint)
      clientEndpoint = try ZeroMQEndpoint(
        identity: clientKey,
        uplink: MeshUplink(address: serverEndpoint.addresses[0], key: serverKey.publicKey))
      client = MeshActorSystem(transport: clientEndpoint)
      try await clientEndpoint.uplinkMonitor.waitUntilUp(within: .seconds(10))
    }

    func stop() async {
      await clientEndpoint.stop()
      await serverEndpoint.stop()
    }
  }

  @Test func `a call over CURVE returns its value and names its caller`() async throws {
    let pair = try await Pair()
    let counter = pair.server.named("counter") { Counter(actorSystem: pair.server) }
    let remote = try Counter.resolve(id: counter.id, using: pair.client)
    #expect(try await remote.add(2, 3) == 5)
    #expect(try await remote.whoCalls() == pair.client.localPeer)
    await pair.stop()
  }

  @Test func `a peer whose key is not admitted is refused with a reason`() async throws {
    let pair = try await Pair()
    let stranger = try ZeroMQEndpoint(
      identity: CurveKey(),
      uplink: MeshUplink(
        address: pair.serverEndpoint.addresses[0], key: pair.serverEndpoint.publicKey))
    _ = MeshActorSystem(transport: stranger)
    await #expect {
      try await stranger.uplinkMonitor.waitUntilUp(within: .seconds(10))
    } throws: { ($0 as? IorunError)?.code == .keyNotAdmitted }
    await stranger.stop()
    await pair.stop()
  }

  @Test func `a thousand calls at once all return over an ipc socket`() async throws {
    let path =
      FileManager.default.temporaryDirectory.path + "/iorun-\(UInt32.random(in: 0 ... .max))"
    let pair = try await Pair(listening: "ipc://\(path)")
    let counter = pair.server.named("counter") { Counter(actorSystem: pair.server) }
    let remote = try Counter.resolve(id: counter.id, using: pair.client)
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for index in 0..<1000 { group.addTask { try await remote.add(index, 1) } }
      return try await group.reduce(0, +)
    }
    #expect(sum == 1000 * 999 / 2 + 1000)
    await pair.stop()
  }

  @Test func `a server that restarts ends the open call, and the next call works`() async throws {
    let serverKey = try CurveKey()
    let clientKey = try CurveKey()
    func listen(at address: String) throws -> ZeroMQEndpoint {
      try ZeroMQEndpoint(
        identity: serverKey, listening: [address],
        admits: { $0 == clientKey.publicKey ? clientKey.peer : nil })
    }
    let before = try listen(at: "tcp://127.0.0.1:0")
    let old = MeshActorSystem(transport: before)
    let counter = old.named("counter") { Counter(actorSystem: old) }
    let clientEndpoint = try ZeroMQEndpoint(
      identity: clientKey,
      uplink: MeshUplink(address: before.addresses[0], key: serverKey.publicKey))
    let client = MeshActorSystem(transport: clientEndpoint)
    let remote = try Counter.resolve(id: counter.id, using: client)
    #expect(try await remote.add(1, 1) == 2)
    let open = Task { await failure { try await remote.hang() } }
    while client.calls.count == 0 { await Task.yield() }
    await before.stop()
    // A closed port may take libzmq a moment to give back.
    var after: ZeroMQEndpoint?
    let deadline = ContinuousClock.now + .seconds(10)
    while after == nil, ContinuousClock.now < deadline {
      after = try? listen(at: before.addresses[0])
      if after == nil { try await Task.sleep(for: .milliseconds(10)) }
    }
    let endpoint = try #require(after)
    let new = MeshActorSystem(transport: endpoint)
    let again = new.named("counter") { Counter(actorSystem: new) }
    #expect(await open.value?.code == .peerLost)
    #expect(try await remote.add(2, 2) == 4)
    withExtendedLifetime((counter, again)) {}
    await clientEndpoint.stop()
    await endpoint.stop()
  }

  @Test func `an actor that chose the transport's thread runs there, also after a wait`()
    async throws
  {
    let pair = try await Pair()
    let counter = pair.server.named("quick") { QuickCounter(actorSystem: pair.server) }
    let remote = try QuickCounter.resolve(id: counter.id, using: pair.client)
    let serving = await pair.server.onTransport { currentThread() }
    #expect(try await remote.thread() == serving)
    #expect(try await remote.nap() == serving)
    let calling = await pair.client.onTransport { currentThread() }
    let after = try await pair.client.onTransport {
      _ = try await remote.thread()
      return currentThread()
    }
    #expect(after == calling)
    #expect(serving != calling)
    await pair.stop()
  }

  @Test func `calls on the transport's thread keep their order`() async throws {
    let pair = try await Pair()
    let counter = pair.server.named("quick") { QuickCounter(actorSystem: pair.server) }
    let remote = try QuickCounter.resolve(id: counter.id, using: pair.client)
    try await pair.client.onTransport {
      for number in 0..<2000 { try await remote.append(number) }
    }
    #expect(try await remote.all() == Array(0..<2000))
    await pair.stop()
  }

  @Test func `tasks on the transport's thread end where the transport stops`() async throws {
    let pair = try await Pair()
    let counter = pair.server.named("quick") { QuickCounter(actorSystem: pair.server) }
    let remote = try QuickCounter.resolve(id: counter.id, using: pair.client)
    let task = Task {
      try await pair.client.onTransport { while true { _ = try await remote.all() } }
    }
    while try await remote.all().isEmpty { try await remote.append(1) }
    await pair.client.shutdown(within: .milliseconds(100))
    // The rest of the task runs without the thread: it ends with the call's error.
    await #expect(throws: (any Error).self) { try await task.value }
    await pair.serverEndpoint.stop()
  }
}
