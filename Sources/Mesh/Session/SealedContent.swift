internal import IorunWire

/// What a sealed packet holds, as bytes: kind, class, three numbers (big-endian), the payload.
enum SealedContent {
  private static let headerBytes = 26

  /// The bytes of a packet; `nil` for a kind that travels unsealed.
  static func encode(_ packet: Packet) -> [UInt8]? {
    let (kind, sequence, payload): (UInt8, UInt64, [UInt8])
    switch packet.kind {
    case .data(let number, let content): (kind, sequence, payload) = (1, number, content)
    case .acknowledge: (kind, sequence, payload) = (2, 0, [])
    case .open, .accept, .reset, .unreachable, .sealed: return nil
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(headerBytes + payload.count)
    bytes += [kind, UInt8(packet.trafficClass.rawValue)]
    for value in [sequence, packet.acknowledged, packet.creditLimit] {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
      }
    }
    return bytes + payload
  }

  /// The packet that was sealed into `outer`; `nil` for bytes that no peer of this version seals.
  static func decode(_ bytes: [UInt8], of outer: Packet) -> Packet? {
    guard bytes.count >= headerBytes, let trafficClass = TrafficClass(rawValue: Int(bytes[1]))
    else { return nil }
    func number(_ offset: Int) -> UInt64 {
      bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    let sequence = number(2)
    let payload = Array(bytes[headerBytes...])
    var packet = outer
    switch bytes[0] {
    case 1:
      guard sequence > 0, payload.count <= WireLimits.payloadBytes else { return nil }
      packet.kind = .data(sequence: sequence, payload: payload)
    case 2:
      guard payload.isEmpty else { return nil }
      packet.kind = .acknowledge
    default: return nil
    }
    packet.trafficClass = trafficClass
    packet.acknowledged = number(10)
    packet.creditLimit = number(18)
    return packet
  }
}
