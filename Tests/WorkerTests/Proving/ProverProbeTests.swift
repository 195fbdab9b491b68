import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Testing

@testable import IorunWorker

/// What a node says of its way to the head, of its line and of its disk; to its head alone.
@Suite("A node's probes")
struct ProverProbeTests {
  private let head = PeerID(high: 1, low: 1)
  private let stranger = PeerID(high: 66, low: 66)
  private let prover: ProverCore

  init() throws { prover = try Self.prover(folder: NSTemporaryDirectory()) }

  private static func prover(folder: String?) throws -> ProverCore {
    ProverCore(
      key: try SigningKey(), head: PeerID(high: 1, low: 1), verifier: try FakeVerifier(),
      machine: FakeMachine().idle, cores: 1, memory: .mebi(64), folder: folder)
  }

  @Test("a node seals echoes")
  func echoes() async throws {
    var probe = EchoProbe(prover.device, epoch: 1)
    while let request = try probe.next(nowNanoseconds: 1) {
      let reply = try await prover.echo(request, caller: head)
      try probe.take(reply, from: .anybody, nowNanoseconds: 2)
      await #expect(throws: IorunError.self) {
        _ = try await prover.echo(request, caller: stranger)
      }
    }
    #expect(probe.result?.answered == EchoProbe.count)
    var other = EchoProbe(DeviceID(try SigningKey()), epoch: 1)
    let stray = try #require(try other.next(nowNanoseconds: 1))
    await #expect(throws: IorunError.self) { _ = try await prover.echo(stray, caller: head) }
  }

  @Test("a node measures the disk of its folder")
  func disk() async throws {
    #expect(try await prover.disk(caller: head).isPlausible)
    await #expect(throws: IorunError.self) { _ = try await prover.disk(caller: stranger) }
    // Where no folder is, nothing is measured.
    let bare = try Self.prover(folder: nil)
    await #expect(throws: IorunError.self) { _ = try await bare.disk(caller: head) }
  }

  @Test("a node takes a stream, and says once what it got of the newest")
  func download() async throws {
    var probe = try StreamProbe(prover.device, epoch: 1, .download, blocks: 1, nowNanoseconds: 0)
    let offer = probe.offer
    let block = try probe.nextBlock()
    let (part, sent) = (Data(try #require(block)), probe.key())
    let key = try #require(sent)
    await #expect(throws: IorunError.self) {
      try await prover.take(part, number: 0, of: offer, caller: stranger)
    }
    try await prover.take(part, number: 0, of: offer, caller: head)
    await #expect(throws: IorunError.self) {
      _ = try await prover.receipt(of: offer, key: key, caller: stranger)
    }
    let receipt = try await prover.receipt(of: offer, key: key, caller: head)
    try probe.take(receipt: receipt, from: .anybody, nowNanoseconds: 1)
    #expect(probe.result != nil)
    await #expect(throws: IorunError.self) {
      _ = try await prover.receipt(of: offer, key: key, caller: head)
    }
  }

  @Test("a node sends a stream of its own device's")
  func upload() async throws {
    var probe = try StreamProbe(prover.device, epoch: 1, .upload, blocks: 1, nowNanoseconds: 0)
    let offer = probe.offer
    let sealed = try await prover.part(0, of: offer, caller: head)
    try probe.take(
      part: [UInt8](sealed.bytes), seal: sealed.seal, from: .anybody, nowNanoseconds: 1)
    #expect(probe.result != nil)
    await #expect(throws: IorunError.self) {
      _ = try await prover.part(0, of: offer, caller: stranger)
    }
    let others = try StreamProbe(
      DeviceID(try SigningKey()), epoch: 1, .upload, blocks: 1, nowNanoseconds: 0)
    await #expect(throws: IorunError.self) {
      _ = try await prover.part(0, of: others.offer, caller: head)
    }
  }
}
