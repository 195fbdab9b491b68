internal import Distributed
internal import IorunCore
internal import IorunMesh
internal import IorunRuntime

/// Both ends of the measurement of our own calls.
enum ActorParty {
  /// Listens at `address`, says where and with which key, and answers until stdin ends.
  static func serve(_ line: Line, at address: String) throws {
    let endpoint = try ZeroMQEndpoint(
      identity: CurveKey(), listening: [address], admits: BenchKey.admission(of: 1), uplink: nil,
      security: line.isEncrypted ? .curve : .plaintextForBenchmark)
    let system = MeshActorSystem(transport: endpoint)
    let adder = system.named(Adder.name) { Adder(actorSystem: system) }
    Party.announce(address: endpoint.addresses[0], key: endpoint.publicKey)
    withExtendedLifetime(adder) { Party.waitForEndOfInput() }
  }

  /// Calls the server at `address` for `seconds`.
  static func call(
    _ line: Line, at address: String, key: [UInt8], server: Int32, seconds: Double
  ) async throws -> Sample {
    let endpoint = try ZeroMQEndpoint(
      identity: BenchKey.pair(0), listening: [], admits: { _ in nil },
      uplink: MeshUplink(address: address, key: key),
      security: line.isEncrypted ? .curve : .plaintextForBenchmark)
    let system = MeshActorSystem(transport: endpoint)
    try await endpoint.uplinkMonitor.waitUntilUp(within: .seconds(10))
    let id = MeshActorID(peer: CurveKey.peer(of: key), name: Adder.name)
    let adder = try Adder.resolve(id: id, using: system)
    let sample =
      line.outstanding == 1
      ? try await system.onTransport { try await oneByOne(adder, server, seconds) }
      : try await together(adder, line.outstanding, server, seconds)
    await system.shutdown(within: .seconds(1))
    return sample
  }

  private static func oneByOne(_ adder: Adder, _ server: Int32, _ seconds: Double)
    async throws -> Sample
  {
    for number in 0..<Party.warmUpCalls { try await check(adder, number) }
    var latencies: [Int64] = []
    latencies.reserveCapacity(1 << 20)
    let meter = try Meter(server: server)
    var now = Meter.now()
    let end = now + Int64(seconds * 1e9)
    while now < end {
      try await check(adder, latencies.count)
      let after = Meter.now()
      latencies.append(after - now)
      now = after
    }
    return meter.sample(calls: latencies.count, latencies: latencies)
  }

  private static func together(
    _ adder: Adder, _ outstanding: Int, _ server: Int32, _ seconds: Double
  ) async throws -> Sample {
    _ = try await calls(adder, outstanding, until: Meter.now() + Int64(seconds * 0.2e9))
    let meter = try Meter(server: server)
    let count = try await calls(adder, outstanding, until: Meter.now() + Int64(seconds * 1e9))
    return meter.sample(calls: count)
  }

  /// So many tasks call, each one call after the other; returns how many calls were answered.
  private static func calls(_ adder: Adder, _ outstanding: Int, until end: Int64)
    async throws -> Int
  {
    try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<outstanding {
        group.addTask {
          var count = 0
          while Meter.now() < end {
            try await check(adder, count)
            count += 1
          }
          return count
        }
      }
      return try await group.reduce(0, +)
    }
  }

  private static func check(_ adder: Adder, _ number: Int) async throws {
    guard try await adder.add(number, 1) == number + 1 else {
      throw IorunError(.internalFault, "a call returned a wrong sum")
    }
  }
}
