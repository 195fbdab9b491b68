import Distributed
import IorunCore
import IorunRuntime

/// The actors that the runtime's tests call.
distributed actor Counter {
  typealias ActorSystem = MeshActorSystem
  private var seen: [Int] = []

  distributed func add(_ left: Int, _ right: Int) -> Int { left + right }

  distributed func append(_ value: Int) { seen.append(value) }

  distributed func all() -> [Int] { seen }

  distributed func whoCalls() -> PeerID? { MeshActorSystem.caller }

  distributed func refuse() throws {
    throw IorunError(.notFound, "there is nothing", remedy: "look elsewhere")
  }

  distributed func failOddly(registered: Bool) throws {
    if registered { throw RegisteredFailure(number: 7) }
    throw ForeignFailure()
  }

  distributed func slowly(_ value: Int) async throws -> Int {
    for _ in 0..<3 { await Task.yield() }
    seen.append(value)
    return value
  }

  distributed func hang() async throws { try await Task.sleep(for: .seconds(3600)) }

  distributed func echo(_ floats: [Float]) -> [Float] { floats }

  distributed func big(_ count: Int) -> [UInt8] { [UInt8](repeating: 1, count: count) }
}

struct RegisteredFailure: Error, Codable, Sendable, Equatable {
  var number: Int
}

struct ForeignFailure: Error {}
