internal import CProtobufC
internal import CWire
internal import IorunCore

/// Turns frames into the bytes of a ZeroMQ message and back.
///
/// Hot path: one message encode and one decode for every packet on every hop; watched by the
/// `calls` benchmark.
public enum FrameCodec {
  /// Appends a frame with its length in front.
  public static func append(_ frame: Frame, to bytes: inout [UInt8]) {
    var message = Iorun__Wire__Frame()
    iorun__wire__frame__init(&message)
    switch frame {
    case .packet(let packet):
      appendPacket(packet, message: &message, to: &bytes)
      return
    case .ping(let token), .pong(let token):
      var probe = Iorun__Wire__LinkProbe()
      iorun__wire__link_probe__init(&probe)
      probe.token = token
      withUnsafeMutablePointer(to: &probe) { pointer in
        if case .ping = frame {
          message.body_case = IORUN__WIRE__FRAME__BODY_PING
          message.ping = pointer
        } else {
          message.body_case = IORUN__WIRE__FRAME__BODY_PONG
          message.pong = pointer
        }
        pack(&message, into: &bytes)
      }
      return
    case .hello, .welcome, .refusal:
      appendGreeting(frame, message: &message, to: &bytes)
    }
  }

  /// Appends a frame with its length in front, but for the packet's payload, which is the message's
  /// second part: a large payload then goes to the socket without being copied here.
  ///
  /// - Returns: the payload; empty where the packet has none, and the frame is whole.
  public static func appendSplit(_ packet: Packet, to bytes: inout [UInt8]) -> [UInt8] {
    guard packet.greeting == nil else {
      append(.packet(packet), to: &bytes)
      return []
    }
    let payload = packet.payload
    PacketCodec.appendHeader(packet, payloadBytes: payload.count, to: &bytes)
    return payload
  }

  /// Reads every frame of a message, whose second part, where there is one, is the payload of its last
  /// frame.
  ///
  /// - Throws: `malformed` for bytes that no peer of this version sends, `tooLarge` for a frame
  ///   beyond `WireLimits.frameBytes`. Frames before the fault are not returned: a peer that sends
  ///   garbage is not to be believed in part.
  public static func decode(
    _ message: UnsafeRawBufferPointer, tail: [UInt8]? = nil
  ) throws -> [Frame] {
    var tail = tail
    var frames: [Frame] = []
    var offset = 0
    while offset < message.count {
      guard message.count - offset >= 4 else {
        throw IorunError(.malformed, "a frame's length is cut off")
      }
      let length = (0..<4).reduce(0) { $0 << 8 | Int(message[offset + $1]) }
      offset += 4
      guard length <= WireLimits.frameBytes else {
        throw IorunError(.tooLarge, "a frame of \(length) bytes is over the limit")
      }
      if let end = tail, length == message.count - offset + end.count {
        let packet = try PacketCodec.decode(
          UnsafeRawBufferPointer(rebasing: message[offset...]), tail: end)
        guard let packet else { break }
        frames.append(.packet(packet))
        tail = nil
        offset = message.count
        continue
      }
      guard length <= message.count - offset else {
        throw IorunError(.malformed, "a frame is cut off")
      }
      frames.append(
        try decodeFrame(UnsafeRawBufferPointer(rebasing: message[offset..<offset + length])))
      offset += length
    }
    guard tail == nil else {
      throw IorunError(.malformed, "a message's second part belongs to no frame")
    }
    return frames
  }

  private static func pack(_ message: inout Iorun__Wire__Frame, into bytes: inout [UInt8]) {
    packed(
      &message, size: iorun__wire__frame__get_packed_size, pack: iorun__wire__frame__pack,
      into: &bytes, withLength: true)
  }

  private static func appendPacket(
    _ packet: Packet, message: inout Iorun__Wire__Frame, to bytes: inout [UInt8]
  ) {
    guard let greeting = packet.greeting else {
      let payload = packet.payload
      PacketCodec.appendHeader(packet, payloadBytes: payload.count, to: &bytes)
      bytes += payload
      return
    }
    appendGreeted(packet, greeting, message: &message, to: &bytes)
  }

  private static func appendGreeted(
    _ packet: Packet, _ greeting: SessionGreeting, message: inout Iorun__Wire__Frame,
    to bytes: inout [UInt8]
  ) {
    var body = Iorun__Wire__Packet()
    iorun__wire__packet__init(&body)
    body.source_high = packet.source.high
    body.source_low = packet.source.low
    body.destination_high = packet.destination.high
    body.destination_low = packet.destination.low
    body.source_incarnation = packet.sourceIncarnation
    body.destination_incarnation = packet.destinationIncarnation
    body.traffic_class = .init(rawValue: UInt32(packet.trafficClass.rawValue))
    body.acknowledged = packet.acknowledged
    body.credit_limit = packet.creditLimit
    body.kind =
      switch packet.kind {
      case .open: IORUN__WIRE__PACKET__KIND__OPEN
      case .accept, .data, .acknowledge, .reset, .unreachable, .sealed:
        // Nothing else greets.
        IORUN__WIRE__PACKET__KIND__ACCEPT
      }
    message.body_case = IORUN__WIRE__FRAME__BODY_PACKET
    let arena = Arena()
    body.greeting = arena.message { field in
      iorun__wire__greeting__init(field)
      field.pointee.public_key = arena.binary(greeting.publicKey)
      field.pointee.ephemeral_key = arena.binary(greeting.ephemeralKey)
      field.pointee.instance = greeting.instance
      field.pointee.proof = arena.binary(greeting.proof)
    }
    withExtendedLifetime(arena) {
      withUnsafeMutablePointer(to: &body) { pointer in
        message.packet = pointer
        pack(&message, into: &bytes)
      }
    }
  }

  private static func appendGreeting(
    _ frame: Frame, message: inout Iorun__Wire__Frame, to bytes: inout [UInt8]
  ) {
    let arena = Arena()
    switch frame {
    case .hello(
      let version, let release, let connection, let instance, let newcomer, let certificate,
      let oldest):
      message.body_case = IORUN__WIRE__FRAME__BODY_HELLO
      message.hello = arena.message { body in
        iorun__wire__link_hello__init(body)
        body.pointee.protocol = version
        body.pointee.oldest_protocol = oldest
        body.pointee.release = arena.string(release)
        body.pointee.instance = instance
        body.pointee.connection = connection
        if !certificate.isEmpty { body.pointee.certificate = arena.binary(certificate) }
        if let newcomer {
          body.pointee.newcomer = arena.message { field in
            iorun__wire__link_newcomer__init(field)
            field.pointee.public_key = arena.binary(newcomer.publicKey)
            field.pointee.name = arena.string(newcomer.name)
            field.pointee.proof = arena.binary(newcomer.proof)
          }
        }
      }
    case .welcome(let version, let release, let connection, let certificate):
      message.body_case = IORUN__WIRE__FRAME__BODY_WELCOME
      message.welcome = arena.message { body in
        iorun__wire__link_welcome__init(body)
        body.pointee.protocol = version
        body.pointee.release = arena.string(release)
        body.pointee.connection = connection
        if !certificate.isEmpty { body.pointee.certificate = arena.binary(certificate) }
      }
    case .refusal(let code, let text, let remedy):
      message.body_case = IORUN__WIRE__FRAME__BODY_REFUSAL
      message.refusal = arena.message { body in
        iorun__wire__link_refusal__init(body)
        body.pointee.code = UInt32(clamping: code)
        body.pointee.message = arena.string(text)
        body.pointee.remedy = arena.string(remedy)
      }
    case .ping, .pong, .packet:
      return
    }
    withExtendedLifetime(arena) { pack(&message, into: &bytes) }
  }

  private static func decodeFrame(_ bytes: UnsafeRawBufferPointer) throws -> Frame {
    if let packet = try PacketCodec.decode(bytes) { return .packet(packet) }
    return try decodeGenerated(bytes)
  }

  /// Reads a frame with the generated code.
  static func decodeGenerated(_ bytes: UnsafeRawBufferPointer) throws -> Frame {
    let unpacked = iorun__wire__frame__unpack(
      nil, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    guard let unpacked else { throw IorunError(.malformed, "a frame does not decode") }
    defer { iorun__wire__frame__free_unpacked(unpacked, nil) }
    let message = unpacked.pointee
    switch message.body_case {
    case IORUN__WIRE__FRAME__BODY_PACKET:
      return .packet(try decodePacket(message.packet.pointee))
    case IORUN__WIRE__FRAME__BODY_PING: return .ping(token: message.ping.pointee.token)
    case IORUN__WIRE__FRAME__BODY_PONG: return .pong(token: message.pong.pointee.token)
    case IORUN__WIRE__FRAME__BODY_HELLO:
      let hello = message.hello.pointee
      return .hello(
        protocolVersion: hello.protocol, release: text(hello.release),
        connection: hello.connection, instance: hello.instance,
        newcomer: try newcomer(hello), certificate: try certificate(hello.certificate),
        oldestVersion: hello.oldest_protocol)
    case IORUN__WIRE__FRAME__BODY_WELCOME:
      let welcome = message.welcome.pointee
      return .welcome(
        protocolVersion: welcome.protocol, release: text(welcome.release),
        connection: welcome.connection, certificate: try certificate(welcome.certificate))
    case IORUN__WIRE__FRAME__BODY_REFUSAL:
      let refusal = message.refusal.pointee
      return .refusal(
        code: Int(refusal.code), message: text(refusal.message), remedy: text(refusal.remedy))
    default:
      throw IorunError(.malformed, "a frame has no body that this version knows")
    }
  }

  private static func certificate(_ field: ProtobufCBinaryData) throws -> [UInt8] {
    guard field.len <= WireLimits.certificateBytes else {
      throw IorunError(.tooLarge, "a certificate of \(field.len) bytes is over the limit")
    }
    return bytes(field)
  }

  private static func newcomer(_ hello: Iorun__Wire__LinkHello) throws -> Newcomer? {
    guard let field = hello.newcomer?.pointee else { return nil }
    let name = text(field.name)
    guard field.public_key.len <= WireLimits.greetingPartBytes,
      field.proof.len <= WireLimits.greetingPartBytes, name.utf8.count <= WireLimits.nameBytes
    else { throw IorunError(.tooLarge, "a newcomer's key, name or proof is over the limit") }
    return Newcomer(
      publicKey: bytes(field.public_key), name: name, proof: bytes(field.proof))
  }

  private static func decodePacket(_ body: Iorun__Wire__Packet) throws -> Packet {
    guard let trafficClass = TrafficClass(rawValue: Int(body.traffic_class.rawValue)) else {
      throw IorunError(.malformed, "a packet is of no known traffic class")
    }
    let kind: Packet.Kind
    switch body.kind {
    case IORUN__WIRE__PACKET__KIND__OPEN: kind = .open
    case IORUN__WIRE__PACKET__KIND__ACCEPT: kind = .accept
    case IORUN__WIRE__PACKET__KIND__DATA:
      guard body.sequence > 0, body.payload.len <= WireLimits.payloadBytes else {
        throw IorunError(.malformed, "a data packet has no number, or too large a payload")
      }
      kind = .data(sequence: body.sequence, payload: bytes(body.payload))
    case IORUN__WIRE__PACKET__KIND__ACK: kind = .acknowledge
    case IORUN__WIRE__PACKET__KIND__RESET: kind = .reset
    case IORUN__WIRE__PACKET__KIND__UNREACHABLE: kind = .unreachable
    case IORUN__WIRE__PACKET__KIND__SEALED:
      guard body.sequence > 0,
        body.payload.len <= WireLimits.payloadBytes + WireLimits.sealBytes
      else { throw IorunError(.malformed, "a sealed packet has no number, or is too large") }
      kind = .sealed(counter: body.sequence, content: bytes(body.payload))
    default: throw IorunError(.malformed, "a packet is of no known kind")
    }
    return Packet(
      source: PeerID(high: body.source_high, low: body.source_low),
      destination: PeerID(high: body.destination_high, low: body.destination_low),
      sourceIncarnation: body.source_incarnation,
      destinationIncarnation: body.destination_incarnation, kind: kind,
      trafficClass: trafficClass, acknowledged: body.acknowledged, creditLimit: body.credit_limit,
      greeting: try greeting(body, of: kind))
  }

  private static func greeting(
    _ body: Iorun__Wire__Packet, of kind: Packet.Kind
  ) throws -> SessionGreeting? {
    guard let field = body.greeting?.pointee else { return nil }
    switch kind {
    case .open, .accept: break
    case .data, .acknowledge, .reset, .unreachable, .sealed:
      throw IorunError(.malformed, "a packet that greets nobody has a greeting")
    }
    guard
      [field.public_key, field.ephemeral_key, field.proof].allSatisfy({
        $0.len <= WireLimits.greetingPartBytes
      })
    else { throw IorunError(.tooLarge, "a greeting's key is over the limit") }
    return SessionGreeting(
      publicKey: bytes(field.public_key), ephemeralKey: bytes(field.ephemeral_key),
      instance: field.instance, proof: bytes(field.proof))
  }
}
