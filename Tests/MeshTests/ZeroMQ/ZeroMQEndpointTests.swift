import CZeroMQ
import Foundation
import IorunCore
import IorunWire
import Synchronization
import TestSupport
import Testing

@testable import IorunMesh

/// Endpoints on real sockets: who gets in, and what faults do to the others.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct ZeroMQEndpointTests {
  private let headKey: CurveKey
  private let annaKey: CurveKey
  private let bertKey: CurveKey

  init() throws {
    headKey = try CurveKey()
    annaKey = try CurveKey()
    bertKey = try CurveKey()
  }

  private func failure(_ endpoint: ZeroMQEndpoint, within limit: Duration = .seconds(5)) async
    -> IorunError?
  {
    do {
      try await endpoint.uplinkMonitor.waitUntilUp(within: limit)
      return nil
    } catch { return error as? IorunError }
  }

  @Test func `payloads arrive in order, and from whom the key says`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    for number: UInt8 in 0..<200 { try anna.send([number], to: listener) }
    #expect(await eventually { listener.receiver.payloads.count == 200 })
    #expect(listener.receiver.payloads.map(\.bytes) == (0..<200).map { [$0] })
    #expect(listener.receiver.payloads.allSatisfy { $0.peer == annaKey.peer })
    await anna.endpoint.stop()
    await listener.endpoint.stop()
  }

  @Test func `two processes of one key are heard side by side, each at its own address`()
    async throws
  {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let processes = try (1...2).map { instance in
      try Caller(
        key: annaKey, to: listener.address, headKey: headKey.publicKey, instance: instance)
    }
    for round: UInt8 in 0..<20 {
      for process in processes { try process.send([round], to: listener) }
    }
    #expect(await eventually { listener.receiver.payloads.count == 40 })
    #expect(Set(listener.receiver.payloads.map(\.peer)).count == 2)
    #expect(listener.receiver.payloads.allSatisfy { $0.principal == annaKey.peer })
    for process in processes { await process.endpoint.stop() }
    await listener.endpoint.stop()
  }

  @Test func `a key that is not admitted is refused at once, with what to do`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let bert = try Caller(key: bertKey, to: listener.address, headKey: headKey.publicKey)
    let error = await failure(bert.endpoint)
    #expect(error?.code == .keyNotAdmitted)
    #expect(error?.remedy != nil)
    await bert.endpoint.stop()
    await listener.endpoint.stop()
  }

  @Test func `a head with another key is not the head`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: bertKey.publicKey)
    let error = await failure(anna.endpoint, within: .milliseconds(1500))
    #expect(error?.code == .unreachable)
    #expect(error?.message.contains("is not the head") == true, "\(error?.message ?? "-")")
    await anna.endpoint.stop()
    await listener.endpoint.stop()
  }

  @Test func `where nobody listens there is no answer`() async throws {
    let listener = try Listener(key: headKey, admitting: [], at: "tcp://127.77.0.9:0")
    let address = listener.address
    await listener.endpoint.stop()
    let anna = try Caller(key: annaKey, to: address, headKey: headKey.publicKey)
    let error = await failure(anna.endpoint, within: .milliseconds(500))
    #expect(error?.code == .unreachable)
    #expect(error?.message.contains("no answer") == true, "\(error?.message ?? "-")")
    await anna.endpoint.stop()
  }

  @Test func `one waiter's end does not end another's wait`() async throws {
    // An address of its own: on 127.0.0.1 a port that is free again may be taken by another program,
    // or by the very connection that dials it.
    let listener = try Listener(key: headKey, admitting: [annaKey], at: "tcp://127.77.0.9:0")
    let address = listener.address
    await listener.endpoint.stop()
    let anna = try Caller(key: annaKey, to: address, headKey: headKey.publicKey)
    let patient = Task { await failure(anna.endpoint, within: .seconds(20)) }
    #expect(await failure(anna.endpoint, within: .milliseconds(100))?.code == .unreachable)
    let again = try await retrying {
      try Listener(key: headKey, admitting: [annaKey], at: address)
    }
    #expect(await patient.value == nil)
    await anna.endpoint.stop()
    await again.endpoint.stop()
  }

  @Test func `a port that is in use says so`() async throws {
    let listener = try Listener(key: headKey, admitting: [])
    #expect {
      try Listener(key: annaKey, admitting: [], at: listener.address)
    } throws: { ($0 as? IorunError)?.code == .addressInUse }
    await listener.endpoint.stop()
  }

  @Test func `an address that this machine does not have says so`() {
    #expect {
      try Listener(key: annaKey, admitting: [], at: "tcp://192.0.2.1:7070")
    } throws: { ($0 as? IorunError)?.code == .addressInUse }
  }

  @Test func `garbage on the port disturbs nobody`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    try await expectWorks(anna, listener)
    var generator = SeededGenerator(seed: 40)
    var strangers: [RawConnection] = []
    for round in 0..<40 {
      let stranger = try RawConnection(port: listener.port)
      switch round % 4 {
      case 0: stranger.write(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
      case 1:
        stranger.write(
          (0..<4000).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
      case 2:
        // A ZMTP greeting that asks for NULL instead of CURVE.
        stranger.write(
          [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array("NULL".utf8)
            + [UInt8](repeating: 0, count: 48))
        stranger.write([4, 0x19] + [UInt8](repeating: 7, count: 25))
      default: break
      }
      strangers.append(stranger)
    }
    try await expectWorks(anna, listener)
    strangers = []
    try await expectWorks(anna, listener)
    #expect(Set(listener.receiver.payloads.map(\.peer)) == [annaKey.peer])
    await anna.endpoint.stop()
    await listener.endpoint.stop()
  }

  /// An admitted peer that speaks frames by hand.
  private func rogue(_ key: CurveKey, at listener: Listener) throws -> ZMQSocket {
    let socket = try HardenedSocket.dialler(
      identity: key, peerKey: headKey.publicKey, security: .curve)
    try socket.connect(listener.address)
    return socket
  }

  private func frames(_ frames: [Frame]) -> [UInt8] {
    frames.reduce(into: []) { FrameCodec.append($1, to: &$0) }
  }

  private func hello(_ version: UInt32 = IorunVersion.wireProtocol) -> Frame {
    .hello(protocolVersion: version, release: "x", connection: 1, instance: 0)
  }

  private func packet(from source: PeerID, _ kind: Packet.Kind) -> Frame {
    .packet(
      Packet(
        source: source, destination: headKey.peer, sourceIncarnation: 5,
        destinationIncarnation: 0, kind: kind, trafficClass: .actor))
  }

  private func frame(from socket: ZMQSocket) async throws -> [Frame] {
    var parts: [ZMQSocket.Part]?
    for _ in 0..<5000 where parts == nil {
      parts = socket.receive(partLimit: 1)
      if parts == nil { try await Task.sleep(for: .milliseconds(1)) }
    }
    return try #require(parts?.first).bytes.withUnsafeBytes { try FrameCodec.decode($0) }
  }

  @Test func `an admitted peer that sends garbage loses its own link only`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey, bertKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    try await expectWorks(anna, listener)
    let socket = try rogue(bertKey, at: listener)
    #expect(socket.send(frames([hello()])))
    guard case .welcome = try await frame(from: socket).first else {
      Issue.record("no welcome")
      return
    }
    #expect(socket.send(frames([.ping(token: 7)])))
    #expect(try await frame(from: socket) == [.pong(token: 7)])
    var generator = SeededGenerator(seed: 41)
    for count in [0, 1, 3, 4, 5, 100, 5000] {
      let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
      #expect(socket.send(bytes))
    }
    #expect(socket.send([1], more: true) && socket.send([2], more: true) && socket.send([3]))
    // The link is over: pings get no answer, a new greeting does.
    #expect(socket.send(frames([.ping(token: 8)])))
    #expect(socket.send(frames([hello()])))
    guard case .welcome = try await frame(from: socket).first else {
      Issue.record("the ping of an ended link was answered")
      return
    }
    try await expectWorks(anna, listener)
    #expect(anna.receiver.lost.isEmpty)
    socket.close()
    await anna.endpoint.stop()
    await listener.endpoint.stop()
  }

  @Test func `a message over the limit closes the connection of its sender only`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey, bertKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    let socket = try rogue(bertKey, at: listener)
    #expect(socket.send(frames([hello()])))
    _ = try await frame(from: socket)
    #expect(socket.send([UInt8](repeating: 0, count: 4 << 20)))
    #expect(socket.send(frames([.ping(token: 1)])))
    try await expectWorks(anna, listener)
    #expect(socket.receive(partLimit: 1) == nil)
    socket.close()
    await anna.endpoint.stop()
    await listener.endpoint.stop()
  }

  @Test func `nobody speaks in another's name, whatever routing id it chooses`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey, bertKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    try await expectWorks(anna, listener)
    let socket = try HardenedSocket.dialler(
      identity: bertKey, peerKey: headKey.publicKey, security: .curve)
    try socket.set(ZMQ_ROUTING_ID, Array(annaKey.peer.description.utf8))
    try socket.connect(listener.address)
    #expect(socket.send(frames([hello()])))
    _ = try await frame(from: socket)
    // As anna it gets no answer; as itself, after that, it does.
    #expect(
      socket.send(
        frames([packet(from: annaKey.peer, .open), packet(from: bertKey.peer, .open)])))
    guard case .packet(let answer) = try await frame(from: socket).first else {
      Issue.record("no answer")
      return
    }
    #expect(answer.destination == bertKey.peer)
    #expect(answer.kind == .accept)
    try await expectWorks(anna, listener)
    #expect(anna.receiver.lost.isEmpty)
    socket.close()
    await anna.endpoint.stop()
    await listener.endpoint.stop()
  }

  @Test func `packets before a greeting count for nothing`() async throws {
    let listener = try Listener(key: headKey, admitting: [bertKey])
    let socket = try rogue(bertKey, at: listener)
    #expect(socket.send(frames([packet(from: bertKey.peer, .open), .ping(token: 1)])))
    #expect(socket.send(frames([hello()])))
    guard case .welcome = try await frame(from: socket).first else {
      Issue.record("answered before the greeting")
      return
    }
    socket.close()
    await listener.endpoint.stop()
  }

  @Test func `peers one version apart speak the older one, whichever is newer`() async throws {
    let now = Int(IorunVersion.wireProtocol)
    let (older, newer) = (
      ProtocolVersions(oldest: now, newest: now), ProtocolVersions(oldest: now, newest: now + 1)
    )
    for (listening, dialling) in [(older, newer), (newer, older), (newer, newer)] {
      let peers = [annaKey.publicKey: annaKey.peer]
      let listener = try ZeroMQEndpoint(
        identity: headKey, listening: ["tcp://127.0.0.1:0"], admits: { peers[$0] }, uplink: nil,
        security: .curve, versions: listening)
      let heard = RecordingReceiver(listener)
      let anna = try ZeroMQEndpoint(
        identity: annaKey, listening: [], admits: { _ in nil },
        uplink: MeshUplink(address: listener.addresses[0], key: headKey.publicKey),
        security: .curve, versions: dialling)
      _ = RecordingReceiver(anna)
      try await anna.uplinkMonitor.waitUntilUp(within: .seconds(20))
      try anna.send([7], to: headKey.peer, in: .actor)
      #expect(await eventually { heard.payloads.map(\.bytes) == [[7]] })
      // What is spoken is in the welcome.
      let socket = try HardenedSocket.dialler(
        identity: annaKey, peerKey: headKey.publicKey, security: .curve)
      try socket.connect(listener.addresses[0])
      let greeting = Frame.hello(
        protocolVersion: UInt32(dialling.newest), release: "x", connection: .max, instance: 5,
        oldestVersion: UInt32(dialling.oldest))
      #expect(socket.send(frames([greeting])))
      guard case .welcome(let version, _, _, _) = try await frame(from: socket).first else {
        Issue.record("no welcome")
        return
      }
      #expect(Int(version) == min(listening.newest, dialling.newest))
      socket.close()
      await anna.stop()
      await listener.stop()
    }
  }

  @Test func `peers two versions apart hear which each speaks`() async throws {
    let now = Int(IorunVersion.wireProtocol)
    let peers = [annaKey.publicKey: annaKey.peer]
    let listener = try ZeroMQEndpoint(
      identity: headKey, listening: ["tcp://127.0.0.1:0"], admits: { peers[$0] }, uplink: nil,
      security: .curve, versions: ProtocolVersions(oldest: now + 1, newest: now + 2))
    _ = RecordingReceiver(listener)
    let anna = try Caller(
      key: annaKey, to: listener.addresses[0], headKey: headKey.publicKey)
    let error = await #expect(throws: IorunError.self) {
      try await anna.endpoint.uplinkMonitor.waitUntilUp(within: .seconds(20))
    }
    #expect(error?.code == .versionMismatch)
    #expect(error?.message.contains("speaks version \(now) of the wire protocol") == true)
    #expect(error?.message.contains("\(now + 1) to \(now + 2)") == true)
    await anna.endpoint.stop()
    await listener.stop()
  }

  /// Peers of the version before are refused, too: what others carry of theirs is not sealed.
  @Test(arguments: [IorunVersion.wireProtocol - 1, IorunVersion.wireProtocol + 1])
  func `another protocol version is refused with a reason`(version: UInt32) async throws {
    let listener = try Listener(key: headKey, admitting: [bertKey])
    let socket = try rogue(bertKey, at: listener)
    #expect(socket.send(frames([hello(version)])))
    guard case .refusal(let code, _, let remedy) = try await frame(from: socket).first else {
      Issue.record("not refused")
      return
    }
    #expect(code == IorunError.Code.versionMismatch.rawValue)
    #expect(!remedy.isEmpty)
    socket.close()
    await listener.endpoint.stop()
  }
}
