internal import Foundation
internal import IorunCore
internal import IorunMesh
internal import IorunWire
internal import Synchronization

/// Both ends of the measurement of a session alone: payloads there and back, without actors above it.
enum SessionParty {
  /// Listens at `address`, says where and with which key, and answers until stdin ends.
  static func serve(_ line: Line, at address: String) throws {
    let endpoint = try ZeroMQEndpoint(
      identity: CurveKey(), listening: [address], admits: BenchKey.admission(of: 1), uplink: nil,
      security: line.isEncrypted ? .curve : .plaintextForBenchmark)
    endpoint.start(Echo(transport: endpoint, answerBytes: line.answerBytes))
    Party.announce(address: endpoint.addresses[0], key: endpoint.publicKey)
    Party.waitForEndOfInput()
  }

  /// Sends to the server at `address` for `seconds`, always with so many payloads under way.
  static func call(
    _ line: Line, at address: String, key: [UInt8], server: Int32, seconds: Double
  ) async throws -> Sample {
    let endpoint = try ZeroMQEndpoint(
      identity: BenchKey.pair(0), listening: [], admits: { _ in nil },
      uplink: MeshUplink(address: address, key: key),
      security: line.isEncrypted ? .curve : .plaintextForBenchmark)
    let caller = Caller(line, transport: endpoint, server: CurveKey.peer(of: key))
    endpoint.start(caller)
    try await endpoint.uplinkMonitor.waitUntilUp(within: .seconds(10))
    let sample = try await caller.measure(server: server, seconds: seconds)
    await endpoint.stop(drainingFor: .zero)
    return sample
  }

  /// Sends back what comes, or as much of it.
  private struct Echo: TransportReceiver {
    let transport: any MeshTransport
    let answerBytes: Int

    func received(_ batch: [InboundPayload]) {
      for payload in batch {
        let answer =
          payload.bytes.count > answerBytes
          ? Array(payload.bytes.prefix(answerBytes)) : payload.bytes
        // Whoever does not get an answer stops the benchmark.
        try? transport.send(answer, to: payload.peer, in: payload.trafficClass)
        transport.consumed(
          payload.bytes.count, from: payload.peer, in: payload.trafficClass)
      }
    }

    func peerLost(_ peer: PeerID, _ error: IorunError) {}
    func tick(now: MonotonicTime) {}
  }

  /// Sends a payload for every answer.
  private final class Caller: TransportReceiver {
    private struct State {
      var answers = 0
      var isOver = false
      var sentAt: Int64 = 0
      var latencies: [Int64] = []
    }

    private let state = Mutex(State())
    private let line: Line
    private let transport: any MeshTransport
    private let server: PeerID
    private let payload: [UInt8]

    init(_ line: Line, transport: any MeshTransport, server: PeerID) {
      self.line = line
      self.transport = transport
      self.server = server
      payload = [UInt8](repeating: 7, count: line.messageBytes)
    }

    func measure(server pid: Int32, seconds: Double) async throws -> Sample {
      state.withLock { $0.latencies.reserveCapacity(1 << 20) }
      for _ in 0..<line.outstanding { try send() }
      try await Task.sleep(for: .seconds(seconds * 0.2))
      let before = state.withLock { state in
        state.latencies.removeAll(keepingCapacity: true)
        return state.answers
      }
      let meter = try Meter(server: pid)
      try await Task.sleep(for: .seconds(seconds))
      let (count, latencies) = state.withLock { state in
        state.isOver = true
        return (state.answers - before, state.latencies)
      }
      guard count > 0 else { throw IorunError(.internalFault, "no answer came") }
      return meter.sample(calls: count, latencies: line.outstanding == 1 ? latencies : nil)
    }

    private func send() throws {
      if line.outstanding == 1 { state.withLock { $0.sentAt = Meter.now() } }
      try transport.send(payload, to: server, in: line.trafficClass)
    }

    func received(_ batch: [InboundPayload]) {
      let isOver = state.withLock { state in
        state.answers += batch.count
        if line.outstanding == 1 { state.latencies.append(Meter.now() - state.sentAt) }
        return state.isOver
      }
      for payload in batch {
        transport.consumed(payload.bytes.count, from: payload.peer, in: payload.trafficClass)
        if !isOver { try? send() }
      }
    }

    func peerLost(_ peer: PeerID, _ error: IorunError) {}
    func tick(now: MonotonicTime) {}
  }
}
