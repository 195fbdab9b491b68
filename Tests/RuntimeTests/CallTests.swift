import Distributed
import IorunCore
import IorunMesh
import IorunWire
import Testing

@testable import IorunRuntime

/// One call: its value, its error, and every way in which it can fail.
@Suite(.timeLimit(.minutes(3)))
struct CallTests {
  @Test func `values and void come back`() async throws {
    let world = try InProcessWorld()
    #expect(try await world.remote.add(2, 3) == 5)
    try await world.remote.append(7)
    #expect(try await world.remote.all() == [7])
    #expect(try await world.remote.echo([0.5, -1]) == [0.5, -1])
  }

  @Test func `an IorunError arrives equal`() async throws {
    let world = try InProcessWorld()
    let error = await failure { try await world.remote.refuse() }
    #expect(error == IorunError(.notFound, "there is nothing", remedy: "look elsewhere"))
  }

  @Test func `a registered error arrives as itself`() async throws {
    let world = try InProcessWorld()
    world.server.register(error: RegisteredFailure.self)
    world.client.register(error: RegisteredFailure.self)
    await #expect(throws: RegisteredFailure(number: 7)) {
      try await world.remote.failOddly(registered: true)
    }
  }

  @Test func `a registered error that the caller does not know names its type`() async throws {
    let world = try InProcessWorld()
    world.server.register(error: RegisteredFailure.self)
    let error = await failure { try await world.remote.failOddly(registered: true) }
    #expect(error?.code == .remoteFailure)
    #expect(error?.message.contains("RegisteredFailure") == true)
  }

  @Test func `a foreign error becomes a remote failure that names its type`() async throws {
    let world = try InProcessWorld()
    let error = await failure { try await world.remote.failOddly(registered: false) }
    #expect(error?.code == .remoteFailure)
    #expect(error?.message.contains("ForeignFailure") == true)
  }

  @Test func `a call of an actor that is not there says so`() async throws {
    let world = try InProcessWorld()
    let nobody = try Counter.resolve(
      id: MeshActorID(peer: InProcessWorld.serverPeer, name: "nobody"), using: world.client)
    #expect(await failure { try await nobody.all() }?.code == .actorNotFound)
    #expect(throws: IorunError.self) {
      try Counter.resolve(
        id: MeshActorID(peer: InProcessWorld.serverPeer, name: "nobody"), using: world.server)
    }
  }

  @Test func `a call of an actor that is gone says so`() async throws {
    let world = try InProcessWorld()
    var shortLived: Counter? = Counter(actorSystem: world.server)
    let id = try #require(shortLived?.id)
    let remote = try Counter.resolve(id: id, using: world.client)
    #expect(try await remote.add(1, 1) == 2)
    shortLived = nil
    #expect(
      await world.eventually {
        await failure { try await remote.add(1, 1) }?.code == .actorNotFound
      })
  }

  @Test func `a name is free again when its actor is gone`() async throws {
    let world = try InProcessWorld()
    var first: Counter? = world.server.named("name") { Counter(actorSystem: world.server) }
    #expect(first?.id.name == "name")
    first = nil
    let second = world.server.named("name") { Counter(actorSystem: world.server) }
    #expect(second.id.name == "name")
    let third = world.server.named("name") { Counter(actorSystem: world.server) }
    #expect(third.id.name != "name")
  }

  @Test func `the callee knows who calls, and that nobody does from within`() async throws {
    let world = try InProcessWorld()
    #expect(try await world.remote.whoCalls() == InProcessWorld.clientPeer)
    #expect(try await world.counter.whoCalls() == nil)
  }

  @Test func `an unknown method is refused`() async throws {
    let world = try InProcessWorld()
    for target in ["", "nonsense", "$s12RuntimeTests7CounterC5nopesSiyYaKFTE"] {
      let error = await failure { try await world.call(target, []) }
      #expect(error?.code == .targetNotFound, "\(target)")
    }
  }

  @Test func `a method of another type of actor is refused`() async throws {
    let world = try InProcessWorld()
    let target = try await TargetSpy.target(Other.self) { try await $0.spoil("x") }
    #expect(target.contains("Other"))
    let error = await failure { try await world.call(target, CBOREncoder.encode("x")) }
    #expect(error?.code == .targetNotFound)
  }

  @Test func `arguments of other types, or too few, are refused`() async throws {
    let world = try InProcessWorld()
    let target = try await TargetSpy.target(Counter.self) { _ = try await $0.add(1, 2) }
    for arguments in [[], [1], [0x61, 0x61, 1], [0xff, 0xff]] as [[UInt8]] {
      let error = await failure { try await world.call(target, arguments) }
      #expect(error?.code == .malformed, "\(arguments)")
    }
    #expect(try await world.call(target, [1, 2]) == .value([3]))
  }

  @Test func `arguments and results over the limit are refused, and nothing else breaks`()
    async throws
  {
    let world = try InProcessWorld()
    let large = [Float](repeating: 1, count: WireLimits.payloadBytes / 4)
    #expect(await failure { try await world.remote.echo(large) }?.code == .tooLarge)
    #expect(
      await failure { try await world.remote.big(WireLimits.payloadBytes) }?.code == .tooLarge)
    #expect(try await world.remote.add(1, 1) == 2)
  }

  @Test func `a payload that is no envelope hurts nobody`() async throws {
    let world = try InProcessWorld()
    for bytes in [[], [0xff], [UInt8](repeating: 7, count: 1000)] as [[UInt8]] {
      try world.client.transport.send(bytes, to: InProcessWorld.serverPeer, in: .actor)
    }
    #expect(try await world.remote.add(1, 1) == 2)
  }

  @Test func `an answer from another peer than the called one counts for nothing`() async throws {
    let world = try InProcessWorld()
    let stranger = world.network.join(PeerID(high: 3, low: 30))
    _ = MeshActorSystem(transport: stranger)
    let call = Task { try await world.remote.gate() }
    #expect(try await world.eventually { try await world.counter.isWaiting })
    for id: UInt64 in 1...10 {
      try stranger.send(
        EnvelopeCodec.encode(.reply(id: id, .nothing)), to: InProcessWorld.clientPeer, in: .actor)
    }
    try await world.counter.openGate(42)
    #expect(try await call.value == 42)
  }

  @Test func `a call ends when its time is up`() async throws {
    let world = try InProcessWorld()
    let call = Task {
      await MeshActorSystem.$callTimeout.withValue(.milliseconds(1)) {
        await failure { try await world.remote.hang() }
      }
    }
    #expect(await world.eventually { world.client.calls.count == 1 })
    #expect(
      await world.eventually {
        world.network.advance(by: .milliseconds(5))
        return world.client.calls.count == 0
      })
    #expect(await call.value?.code == .timedOut)
  }

  @Test func `a cancelled call returns at once`() async throws {
    let world = try InProcessWorld()
    let call = Task { try await world.remote.hang() }
    #expect(await world.eventually { world.client.calls.count == 1 })
    call.cancel()
    await #expect(throws: CancellationError.self) { try await call.value }
  }

  @Test func `a cancelled call that waits for its turn is never executed`() async throws {
    let world = try InProcessWorld()
    let first = Task { try await world.remote.gate() }
    #expect(try await world.eventually { try await world.counter.isWaiting })
    let second = Task { try await world.remote.append(13) }
    #expect(await world.eventually { world.client.calls.count == 2 })
    second.cancel()
    await #expect(throws: CancellationError.self) { try await second.value }
    try await world.counter.openGate(1)
    #expect(try await first.value == 1)
    #expect(try await world.remote.all() == [])
  }

  @Test func `a call whose time is up when its turn comes is never executed`() async throws {
    let world = try InProcessWorld()
    let first = Task { try await world.remote.gate() }
    #expect(try await world.eventually { try await world.counter.isWaiting })
    let second = Task {
      await MeshActorSystem.$callTimeout.withValue(.milliseconds(1)) {
        await failure { try await world.remote.append(13) }
      }
    }
    #expect(await world.eventually { world.client.calls.count == 2 })
    #expect(
      await world.eventually {
        world.network.advance(by: .milliseconds(5))
        return world.client.calls.count == 1
      })
    #expect(await second.value?.code == .timedOut)
    try await world.counter.openGate(1)
    #expect(try await first.value == 1)
    #expect(try await world.remote.all() == [])
  }

  @Test func `calls of another process of the same peer have other numbers`() throws {
    let (one, other) = (CallTable(), CallTable())
    #expect(one.nextID() != other.nextID())
  }

  @Test func `a call in a cancelled task is cancelled`() async throws {
    let world = try InProcessWorld()
    let call = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await world.remote.hang()
    }
    await #expect(throws: CancellationError.self) { try await call.value }
    #expect(world.client.calls.count == 0)
  }

  @Test func `open calls fail when their peer is lost`() async throws {
    let world = try InProcessWorld()
    let call = Task { await failure { try await world.remote.hang() } }
    #expect(await world.eventually { world.client.calls.count == 1 })
    _ = MeshActorSystem(transport: world.network.join(InProcessWorld.serverPeer))
    #expect(await call.value?.code == .peerLost)
  }

  @Test func `a call to a peer that is nowhere is unreachable`() async throws {
    let world = try InProcessWorld()
    let remote = try Counter.resolve(
      id: MeshActorID(peer: PeerID(high: 5, low: 50), name: "counter"), using: world.client)
    let call = Task { await failure { try await remote.all() } }
    #expect(await world.eventually { world.client.calls.count == 1 })
    world.network.advance(by: .seconds(11))
    #expect(await call.value?.code == .unreachable)
  }

  @Test func `shutdown answers the call that runs, and ends those that this process made`()
    async throws
  {
    let world = try InProcessWorld()
    let call = Task { try await world.remote.gate() }
    #expect(try await world.eventually { try await world.counter.isWaiting })
    let back = Task {
      await failure {
        try await Counter.resolve(
          id: MeshActorID(peer: PeerID(high: 7, low: 7), name: "x"), using: world.server
        ).hang()
      }
    }
    #expect(await world.eventually { world.server.calls.count == 1 })
    let shutdown = Task { await world.server.shutdown(within: .seconds(10)) }
    try await world.counter.openGate(3)
    #expect(try await call.value == 3)
    await shutdown.value
    #expect(await back.value?.code == .unreachable)
  }
}
