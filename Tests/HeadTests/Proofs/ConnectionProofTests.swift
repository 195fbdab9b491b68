import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Synchronization
import TestSupport
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

  /// Lines are measured, for a fifth of a second of the fake clock.
  private static var measured: HeadOptions {
    var options = HeadOptions.proofs(.record)
    options.proofs.stream = .milliseconds(200)
    return options
  }

  @Test("a line is measured by streams of growing length, and a slow one falls short")
  func line() async throws {
    try await withRig(cpus: [1], options: Self.measured) { rig in
      // 320 Mb/s: enough from the node, and too little to it.
      await rig.prover().set(lineRate: 4e7)
      try await rig.drive("its line is not measured") {
        await rig.director.devices[rig.device()]?.record.connection?.line?.upload != nil
      }
      let found = try #require(try await connection(rig))
      let line = try #require(found.line)
      for way in [line.download, line.upload] {
        let found = try #require(way)
        #expect(abs(found.megabitsPerSecond - 320) < 0.1, "\(line)")
        #expect(found.seconds >= 0.1 && found.bytes > 2 << 20, "no more than the first stream")
      }
      #expect(found.shortfalls.contains(.download))
      #expect(line.beside == 0)
      // What is found of the rest does not take the line's place, and all of it is on disk.
      try await rig.drive("the way to it is not known") { try await connection(rig)?.echoes != nil }
      let all = try await connection(rig)
      #expect(all?.line == line)
      await rig.kill()
      try await rig.open()
      #expect(try await connection(rig) == all)
    }
  }

  @Test(
    "who has not the bytes gets no receipt for them; a line that gives no answer is no shortfall")
  func falseLine() async throws {
    for cheats in [true, false] {
      try await withRig(cpus: [1], options: Self.measured) { rig in
        await rig.prover().set(lineRate: cheats ? 4e7 : nil, cheats: cheats)
        try await rig.drive("its line was not asked for") {
          let device = await rig.director.devices[rig.device()]
          return device?.streamedAt != nil && device?.isProbing == false
            && device?.record.connection?.echoes != nil
        }
        let found = try #require(try await connection(rig))
        #expect(found.line == nil)
        #expect(!found.shortfalls.contains(.download) && !found.shortfalls.contains(.upload))
        #expect(await (rig.prover().streamed > 0) == cheats)
      }
    }
  }

  @Test("devices that could share a line are measured at the same instant, others after them")
  func sharedLine() async throws {
    try await withRig(cpus: [1, 1, 1], options: Self.measured) { rig in
      for node in rig.nodes { await rig.provers[node.id]?.set(lineRate: 4e7) }
      try await rig.drive("not all lines are measured") {
        await rig.director.devices.values.filter { $0.record.connection?.line?.upload != nil }
          .count == 3
      }
      let groups = await rig.director.devices.values.map { $0.record.connection?.line?.beside }
      // The fake nodes' owners are one: all are one group.
      #expect(groups == [2, 2, 2])
    }
  }

  @Test("a stream gives way to jobs and proofs with its next part", arguments: [true, false])
  func givesWay(isDownload: Bool) async throws {
    let time = ManualClock()
    let prover = try FakeProver(node: .sample(1), cores: 1, time: time)
    await prover.set(lineRate: 4e7)
    let checks = Mutex(0)
    let probe = LineProbe(
      device: prover.device, epoch: 1, prover: prover, head: .sample(2),
      clock: HeadClock(time) { Rig.start },
      length: .seconds(1)
    ) {
      checks.withLock {
        $0 += 1; return $0 < 20
      }
    }
    await #expect {
      _ = try await probe.measure(isDownload ? .download : .upload)
    } throws: { ($0 as? IorunError)?.code == .cancelled }
    #expect(checks.withLock(\.self) == 20)
    // What was on its way may still arrive.
    #expect(await prover.streamed <= (20 + 16) << 19)
  }
}
