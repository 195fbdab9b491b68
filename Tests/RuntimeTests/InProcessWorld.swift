import Distributed
import IorunCore
import IorunMesh
import IorunWire
import Testing

@testable import IorunRuntime

/// Two actor systems on an in-process network, and a counter at the server that the client calls.
struct InProcessWorld {
  static let serverPeer = PeerID(high: 1, low: 10)
  static let clientPeer = PeerID(high: 2, low: 20)

  let network = InProcessNetwork()
  let server: MeshActorSystem
  let client: MeshActorSystem
  let counter: Counter
  let remote: Counter

  init() throws {
    server = MeshActorSystem(transport: network.join(Self.serverPeer))
    client = MeshActorSystem(transport: network.join(Self.clientPeer))
    let server = server
    counter = server.named("counter") { Counter(actorSystem: server) }
    remote = try Counter.resolve(id: counter.id, using: client)
  }

  /// Calls a method of the counter by its name, with arguments as they would stand on the wire.
  func call(_ target: String, _ arguments: [UInt8]) async throws -> Envelope.Outcome {
    let id = client.calls.nextID()
    let payload = try EnvelopeCodec.encode(
      .call(
        Envelope.Call(
          id: id, actor: counter.id.name, target: target, arguments: arguments,
          timeoutMilliseconds: 1000)))
    let outcome = try await withUnsafeThrowingContinuation { answer in
      client.calls.insert(id, peer: Self.serverPeer, timeout: .seconds(10), answer: answer)
      do { try client.transport.send(payload, to: Self.serverPeer, in: .actor) } catch {
        client.calls.fail(id, error)
      }
    }
    if case .failure(let failure) = outcome { throw client.errors.decode(failure) }
    return outcome
  }

  /// Waits for a condition; false where it does not come true within half a minute.
  func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < end {
      if try await condition() { return true }
      try? await Task.sleep(for: .milliseconds(1))
    }
    return false
  }
}

/// The error that `body` throws, where it is an `IorunError`.
func failure<Value>(_ body: () async throws -> Value) async -> IorunError? {
  do {
    _ = try await body()
    return nil
  } catch { return error as? IorunError }
}
