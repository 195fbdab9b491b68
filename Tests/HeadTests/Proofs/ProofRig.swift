import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import TestSupport
import Testing

@testable import IorunHead

extension HeadOptions {
  /// Rounds of a few milliseconds.
  static func proofs(_ mode: VerificationMode) -> HeadOptions {
    var options = HeadOptions()
    options.proofs.mode = mode
    options.proofs.round = .milliseconds(50)
    options.proofs.fill = .milliseconds(50)
    options.proofs.laneCheck = .milliseconds(20)
    options.proofs.busyPause = .seconds(30)
    // What a prover tells of its work may be long on a fast machine: its claim is small, so that
    // whole milliseconds measure it well on a slow one.
    options.proofs.slack = .seconds(180)
    return options
  }
}

extension Rig {
  var proofs: any ProofService { services.proofs }
  var director: ProofDirector { services.proofDirector }
  func prover(_ index: Int = 0) -> FakeProver { provers[nodes[index].id]! }
  func device(_ index: Int = 0) -> DeviceID { prover(index).device }

  /// True while a round is out that its prover works on, or bytes of a stream are on their way.
  private var isRoundOut: Bool {
    get async {
      if await director.isMeasuringLines { return true }
      for device in await director.devices.values {
        let prover = provers[device.node]!
        if await prover.isSilent { continue }
        if device.open != nil { return true }
        if device.isFilling, await !prover.isStuckFilling { return true }
      }
      return false
    }
  }

  /// Lets the head go on until `condition` holds. Time passes only while nobody computes: what the
  /// provers' work takes is said by them.
  func drive(
    _ what: Comment, step: Duration = .seconds(1), until condition: () async throws -> Bool
  ) async throws {
    try await eventually(what) {
      if try await condition() { return true }
      if await !isRoundOut { try await pass(step) }
      await director.tick()
      return try await condition()
    }
  }

  /// Time passes, and nodes are alive in it.
  func pass(_ duration: Duration) async throws {
    time.advance(by: duration)
    for node in nodes {
      if await !node.isUnreachable { try await node.heartbeat() }
    }
  }

  func mark(_ index: Int = 0) async throws -> DeviceMark {
    let nodes = try await services.network.nodes(caller: operatorID)
    return try #require(nodes.first { $0.id == self.nodes[index].id }?.mark)
  }

  func history(_ index: Int = 0) async throws -> DeviceHistory {
    try await proofs.history(
      "\(device(index))", limit: 100, caller: operatorID)
  }

  func reasons(_ index: Int = 0) async throws -> [String] {
    try await history(index).transitions.map(\.entry.reason.name).reversed()
  }

  /// How long each search lasts that the prover was asked for, in milliseconds.
  func searches(_ index: Int = 0) async -> [Int] {
    await prover(index).started.compactMap { started in
      if case .hash(let hash) = started.challenge.puzzle { hash.milliseconds } else { nil }
    }
  }

  /// Drives until the prover was given a challenge that is open, and returns it.
  func openChallenge(_ index: Int = 0) async throws -> Challenge {
    try await drive("no challenge was issued") {
      try await proofs.challenge(caller: nodes[index].id) != nil
    }
    return try #require(try await proofs.challenge(caller: nodes[index].id))
  }

  /// Moves to the next epoch, in which the window has not begun.
  func nextEpoch() async throws {
    let epoch = await director.epoch
    try await drive("the hour did not end", step: .seconds(30)) { await director.epoch > epoch }
  }
}
