internal import IorunCore

/// Packets as protobuf, written and read by hand: the one message of which a process sees hundreds of
/// thousands a second. The bytes are those of `proto/iorun.proto`; what is not read here, such as a
/// greeting or a field of a later version, is left to the generated code.
///
/// Hot path: no memory is taken beside the payload's; watched by the `calls` benchmark.
enum PacketCodec {
  /// Field 6 of `Frame`, with a length.
  private static let frameTag: UInt8 = 0x32
  /// More than the fields of a packet without its payload and greeting ever take.
  private static let headerRoom = 128

  /// Appends a frame that holds `packet`, with its length in front, up to where `payload` begins; the
  /// caller adds the payload.
  static func appendHeader(_ packet: Packet, payloadBytes: Int, to bytes: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * headerRoom) { room in
      // The packet's fields stand behind room for what is in front of them, as its length comes first.
      var writer = ProtobufWriter(room, from: headerRoom)
      writeFields(packet, payloadBytes: payloadBytes, to: &writer)
      let fieldBytes = writer.position - headerRoom
      let packetBytes = fieldBytes + payloadBytes
      let frameBytes = 1 + ProtobufWriter.size(of: UInt64(packetBytes)) + packetBytes
      var front = ProtobufWriter(room, from: 0)
      for shift in [24, 16, 8, 0] { front.write(UInt8(truncatingIfNeeded: frameBytes >> shift)) }
      front.write(frameTag)
      front.write(varint: UInt64(packetBytes))
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: room[0..<front.position]))
      bytes.append(
        contentsOf: UnsafeBufferPointer(rebasing: room[headerRoom..<writer.position]))
    }
  }

  private static func writeFields(
    _ packet: Packet, payloadBytes: Int, to writer: inout ProtobufWriter
  ) {
    writer.write(fixed: packet.source.high, tag: 0x09)
    writer.write(fixed: packet.source.low, tag: 0x11)
    writer.write(fixed: packet.destination.high, tag: 0x19)
    writer.write(fixed: packet.destination.low, tag: 0x21)
    writer.write(fixed: packet.sourceIncarnation, tag: 0x29)
    writer.write(fixed: packet.destinationIncarnation, tag: 0x31)
    let (kind, sequence): (UInt64, UInt64) =
      switch packet.kind {
      case .open: (1, 0)
      case .accept: (2, 0)
      case .data(let sequence, _): (3, sequence)
      case .acknowledge: (4, 0)
      case .reset: (5, 0)
      case .unreachable: (6, 0)
      case .sealed(let counter, _): (7, counter)
      }
    writer.write(number: kind, tag: 0x38)
    writer.write(number: UInt64(packet.trafficClass.rawValue), tag: 0x40)
    writer.write(number: sequence, tag: 0x48)
    writer.write(number: packet.acknowledged, tag: 0x50)
    writer.write(number: packet.creditLimit, tag: 0x58)
    if payloadBytes > 0 {
      writer.write(0x62)
      writer.write(varint: UInt64(payloadBytes))
    }
  }

  /// Reads a frame that holds a packet whose payload is at its end, as ours write it. `tail` holds the
  /// payload where it came apart from the rest. `nil` for any other frame.
  static func decode(_ bytes: UnsafeRawBufferPointer, tail: [UInt8]? = nil) throws -> Packet? {
    var reader = ProtobufReader(bytes)
    guard reader.byte() == frameTag, let length = reader.varint(),
      length == UInt64(reader.left + (tail?.count ?? 0))
    else { return nil }
    var fields: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
    var (kind, trafficClass, sequence, acknowledged, credit):
      (UInt64, UInt64, UInt64, UInt64, UInt64) =
        (0, 0, 0, 0, 0)
    var payload: [UInt8]?
    while payload == nil, let tag = reader.byte() {
      let value: UInt64? =
        switch tag {
        case 0x09, 0x11, 0x19, 0x21, 0x29, 0x31: reader.fixed()
        case 0x38, 0x40, 0x48, 0x50, 0x58, 0x62: reader.varint()
        default: nil
        }
      guard let value else { return nil }
      switch tag {
      case 0x09: fields.0 = value
      case 0x11: fields.1 = value
      case 0x19: fields.2 = value
      case 0x21: fields.3 = value
      case 0x29: fields.4 = value
      case 0x31: fields.5 = value
      case 0x38: kind = value
      case 0x40: trafficClass = value
      case 0x48: sequence = value
      case 0x50: acknowledged = value
      case 0x58: credit = value
      default:
        guard value == UInt64(reader.left + (tail?.count ?? 0)) else { return nil }
        payload = tail.map { reader.left == 0 ? $0 : [] } ?? Array(reader.rest)
        guard payload?.count == Int(value) else { return nil }
      }
    }
    guard tail == nil || payload != nil else { return nil }
    return try packet(
      fields, kind: kind, trafficClass: trafficClass, sequence: sequence,
      acknowledged: acknowledged, credit: credit, payload: payload ?? [])
  }

  private static func packet(
    _ fields: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64), kind number: UInt64,
    trafficClass: UInt64, sequence: UInt64, acknowledged: UInt64, credit: UInt64, payload: [UInt8]
  ) throws -> Packet {
    guard trafficClass < 3, let trafficClass = TrafficClass(rawValue: Int(trafficClass)) else {
      throw IorunError(.malformed, "a packet is of no known traffic class")
    }
    let kind: Packet.Kind
    switch number {
    case 1: kind = .open
    case 2: kind = .accept
    case 3:
      guard sequence > 0, payload.count <= WireLimits.payloadBytes else {
        throw IorunError(.malformed, "a data packet has no number, or too large a payload")
      }
      kind = .data(sequence: sequence, payload: payload)
    case 4: kind = .acknowledge
    case 5: kind = .reset
    case 6: kind = .unreachable
    case 7:
      guard sequence > 0, payload.count <= WireLimits.payloadBytes + WireLimits.sealBytes else {
        throw IorunError(.malformed, "a sealed packet has no number, or is too large")
      }
      kind = .sealed(counter: sequence, content: payload)
    default: throw IorunError(.malformed, "a packet is of no known kind")
    }
    return Packet(
      source: PeerID(high: fields.0, low: fields.1),
      destination: PeerID(high: fields.2, low: fields.3), sourceIncarnation: fields.4,
      destinationIncarnation: fields.5, kind: kind, trafficClass: trafficClass,
      acknowledged: acknowledged, creditLimit: credit)
  }
}
