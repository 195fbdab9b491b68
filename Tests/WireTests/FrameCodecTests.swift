import IorunCore
import TestSupport
import Testing

@testable import IorunWire

/// The bytes of a ZeroMQ message: what goes in comes out, and lies are refused.
@Suite(.timeLimit(.minutes(2)))
struct FrameCodecTests {
  private static let one = PeerID(high: 1, low: 2)
  private static let two = PeerID(high: .max, low: 0)

  private static func packet(_ kind: Packet.Kind, _ trafficClass: TrafficClass = .actor) -> Frame {
    .packet(
      Packet(
        source: one, destination: two, sourceIncarnation: 3, destinationIncarnation: .max,
        kind: kind, trafficClass: trafficClass, acknowledged: 5, creditLimit: 1 << 40))
  }

  static let frames: [Frame] = [
    .hello(protocolVersion: 1, release: "1.2.3 ✓", connection: .max, instance: 7),
    .hello(
      protocolVersion: 1, release: "1", connection: 2, instance: 0,
      newcomer: Newcomer(publicKey: [1, 2], name: "anna ✓", proof: [3])),
    .hello(protocolVersion: 1, release: "1", connection: 2, instance: 0, certificate: [4, 5]),
    .welcome(protocolVersion: .max, release: "", connection: 0),
    .welcome(protocolVersion: 1, release: "1", connection: 2, certificate: [6]),
    .refusal(code: 1107, message: "no", remedy: "try"),
    .ping(token: .max), .pong(token: 0),
    packet(.open, .control), packet(.accept, .control), packet(.data(sequence: 1, payload: [])),
    packet(.data(sequence: .max, payload: Array(0...255)), .bulk), packet(.acknowledge),
    packet(.reset), packet(.unreachable), packet(.sealed(counter: 9, content: [1, 2, 3])),
    .packet(
      Packet(
        source: one, destination: two, sourceIncarnation: 3, destinationIncarnation: 0,
        kind: .open, trafficClass: .control,
        greeting: SessionGreeting(
          publicKey: [UInt8](repeating: 1, count: 32), ephemeralKey: [2, 3], instance: .max,
          proof: [4]))),
  ]

  private func encode(_ frames: [Frame]) -> [UInt8] {
    frames.reduce(into: []) { FrameCodec.append($1, to: &$0) }
  }

  private func decode(_ bytes: [UInt8]) throws -> [Frame] {
    try bytes.withUnsafeBytes { try FrameCodec.decode($0) }
  }

  @Test("each kind of frame comes back equal", arguments: frames)
  func roundTrip(_ frame: Frame) throws { #expect(try decode(encode([frame])) == [frame]) }

  @Test func `several frames of one message come back in order`() throws {
    #expect(try decode(encode(Self.frames)) == Self.frames)
    #expect(try decode([]) == [])
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `packets read by hand are those that the generated code reads`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<4000 {
      let frame = Self.frames[Int.random(in: 0..<Self.frames.count, using: &random)]
      var bytes = Array(encode([frame]).dropFirst(4))
      for _ in 0..<Int.random(in: 0...2, using: &random) {
        let place = Int.random(in: bytes.indices, using: &random)
        bytes[place] = UInt8.random(in: .min ... .max, using: &random)
      }
      try bytes.withUnsafeBytes { bytes in
        // What is refused by hand would be refused by the generated code, too, and what is taken is
        // the same; what is left to it needs no comparison.
        do {
          guard let packet = try PacketCodec.decode(bytes) else { return }
          #expect(try FrameCodec.decodeGenerated(bytes) == .packet(packet))
        } catch let error as IorunError {
          #expect(error.code == .malformed)
          #expect(throws: IorunError.self) { try FrameCodec.decodeGenerated(bytes) }
        }
      }
    }
  }

  @Test func `a large payload may come as a part of its own, and nothing else may`() throws {
    let payload = [UInt8](repeating: 7, count: 100_000)
    let packet = Packet(
      source: Self.one, destination: Self.two, sourceIncarnation: 3, destinationIncarnation: 4,
      kind: .data(sequence: 6, payload: payload), trafficClass: .bulk)
    var bytes = encode([.ping(token: 1)])
    let tail = FrameCodec.appendSplit(packet, to: &bytes)
    #expect(tail == payload)
    func decode(_ bytes: [UInt8], _ tail: [UInt8]) throws -> [Frame] {
      try bytes.withUnsafeBytes { try FrameCodec.decode($0, tail: tail) }
    }
    #expect(try decode(bytes, tail) == [.ping(token: 1), .packet(packet)])
    for wrong in [[], payload.dropLast(), payload + [1]] as [[UInt8]] {
      #expect(throws: IorunError.self) { try decode(bytes, wrong) }
    }
    for count in 0..<bytes.count {
      #expect(throws: IorunError.self) { try decode(Array(bytes.prefix(count)), tail) }
    }
    #expect(throws: IorunError.self) { try decode(encode([.ping(token: 1)]), [1]) }
    #expect(throws: IorunError.self) { try decode([], [1]) }
  }

  @Test func `a payload of the largest size fits a frame`() throws {
    let payload = [UInt8](repeating: 7, count: WireLimits.payloadBytes)
    let frame = Self.packet(.data(sequence: .max, payload: payload))
    let bytes = encode([frame])
    #expect(bytes.count <= WireLimits.messageBytes)
    #expect(try decode(bytes) == [frame])
  }

  @Test func `a payload over the limit is refused`() throws {
    let payload = [UInt8](repeating: 7, count: WireLimits.payloadBytes + 1)
    let bytes = encode([Self.packet(.data(sequence: 1, payload: payload))])
    #expect { try decode(bytes) } throws: { ($0 as? IorunError)?.code == .malformed }
  }

  @Test("a frame cut off at any byte is refused", arguments: frames)
  func truncation(_ frame: Frame) {
    let bytes = encode([frame])
    for count in 1..<bytes.count {
      #expect {
        try decode(Array(bytes.prefix(count)))
      } throws: { ($0 as? IorunError)?.code == .malformed }
    }
  }

  @Test func `a message cut off within its last frame gives none of its frames`() {
    let bytes = encode(Self.frames)
    #expect { try decode(bytes.dropLast()) } throws: { ($0 as? IorunError)?.code == .malformed }
  }

  @Test func `a length over the limit is refused before its bytes are looked for`() {
    for length in [[0, 0x10, 0x04, 0x01], [0xff, 0xff, 0xff, 0xff]] as [[UInt8]] {
      #expect { try decode(length) } throws: { ($0 as? IorunError)?.code == .tooLarge }
    }
  }

  @Test func `an empty frame and a frame of an unknown kind are refused`() {
    #expect(throws: IorunError.self) { try decode([0, 0, 0, 0]) }
    // Field 15, as a later version might send.
    #expect(throws: IorunError.self) { try decode([0, 0, 0, 2, 0x7a, 0]) }
  }

  @Test func `a data packet without a number is refused`() {
    #expect(throws: IorunError.self) {
      try decode(encode([Self.packet(.data(sequence: 0, payload: [1]))]))
    }
  }

  @Test func `changed messages decode or are refused`() async {
    var generator = SeededGenerator(seed: 22)
    let original = encode(Self.frames)
    let end = ContinuousClock.now + .seconds(30)
    var decoded = 0
    for round in 0..<100_000 where ContinuousClock.now < end {
      if round % 500 == 0 { await Task.yield() }
      var bytes =
        Bool.random(using: &generator)
        ? original : encode([Self.frames.randomElement(using: &generator)!])
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &generator)
        case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        default: bytes.insert(UInt8.random(in: .min ... .max, using: &generator), at: index)
        }
      }
      do {
        _ = try decode(bytes)
        decoded += 1
      } catch { #expect(error is IorunError, "seed 22, bytes \(bytes)") }
    }
    #expect(decoded > 0)
  }

  @Test func `random bytes decode or are refused`() {
    var generator = SeededGenerator(seed: 23)
    for _ in 0..<20_000 {
      let body = generator.bytes(Int.random(in: 0...40, using: &generator))
      do { _ = try decode([0, 0, 0, UInt8(body.count)] + body) } catch {
        #expect(error is IorunError, "seed 23, bytes \(body)")
      }
    }
  }
}
