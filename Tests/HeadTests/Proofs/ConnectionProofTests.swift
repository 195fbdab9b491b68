import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Testing

@testable import IorunHead

/// The way to a node and its disk are probed and shown.
@Suite("The connections of nodes")
struct ConnectionProofTests {
  private func connection(_ rig: Rig) async throws -> ConnectionRecord? {
    try await rig.history().device.connection
  }

  @Test("the way to a node and its disk are on record, also after a restart")
  func recorded() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(trip: .milliseconds(4))
      try await rig.drive("nothing is known of it") {
        await rig.director.devices[rig.device()]?.record.connection != nil
      }
      let found = try #require(try await connection(rig))
      let echoes = try #require(found.echoes)
      #expect(echoes.answered == EchoProbe.count)
      // A prover that works meanwhile moves the clock, too.
      #expect(echoes.minimumMilliseconds >= 4)
      #expect(found.disk?.randomReadsPerSecond == 1e4)
      #expect(!found.shortfalls.contains(.disk))
      await rig.kill()
      try await rig.open()
      #expect(try await connection(rig) == found)
    }
  }

  @Test("a disk that is not what is offered falls short; rates that are none are left out")
  func shortfalls() async throws {
    for (free, writes) in [(UInt64(1 << 30), 1e8), (1 << 39, .infinity)] as [(UInt64, Double)] {
      try await withRig(cpus: [1], options: .proofs(.record)) { rig in
        await rig.prover().set(
          diskResult: DiskProbe.Result(
            capacityBytes: 1 << 40, freeBytes: free, writeBytesPerSecond: writes,
            readBytesPerSecond: 1e8, randomReadsPerSecond: 1e3, isDirect: true))
        try await rig.drive("nothing is known of it") {
          await rig.director.devices[rig.device()]?.record.connection != nil
        }
        let found = try #require(try await connection(rig))
        #expect((found.disk == nil) == writes.isInfinite)
        #expect(found.shortfalls.contains(.disk) == (free == 1 << 30))
        // No part of the mark.
        try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      }
    }
  }

  @Test("echoes that another key sealed are none")
  func wrongKey() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(echoesAs: try SigningKey())
      try await rig.drive("nothing is known of it") {
        await rig.director.devices[rig.device()]?.record.connection != nil
      }
      #expect(try await connection(rig)?.echoes == nil)
    }
  }
}
