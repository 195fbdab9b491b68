internal import IorunContract
internal import IorunCore
internal import IorunPath

/// A netcheck in JSON.
public struct NetCheckView: Encodable, Sendable {
  let udp: Bool
  let nat: String
  let ipv6: Bool?
  let mtuBytes: Int?
  let ownAddresses: [String]
  let mappedAddresses: [String]
  let relays: [RelayView]

  struct RelayView: Encodable, Sendable {
    let id: String
    let name: String
    let addresses: [String]
    let roundTripMilliseconds: Double?
    let tcpPort: Int?
    let tcpConnects: Bool?
  }

  /// Shows a check.
  public init(_ check: NetCheck) {
    udp = check.findings.natClass != .udpBlocked
    nat = check.findings.natClass.rawValue
    ipv6 = check.hasIPv6
    mtuBytes = check.mtuBytes
    ownAddresses = check.findings.own.map(\.description)
    mappedAddresses = check.findings.mapped.map(\.description)
    relays = check.relays.map { relay in
      RelayView(
        id: relay.offer.id.description, name: relay.offer.target.name,
        addresses: relay.offer.target.addresses.map(\.description),
        roundTripMilliseconds: relay.roundTripMilliseconds,
        tcpPort: relay.offer.target.streamPort == 0 ? nil : Int(relay.offer.target.streamPort),
        tcpConnects: relay.streamConnects)
    }
  }
}

/// A netcheck for people.
public enum NetCheckRendering {
  /// The findings, a line each, and a table of relays.
  public static func text(_ check: NetCheck, _ style: TerminalStyle) -> String {
    let natClass = check.findings.natClass
    var lines = [
      "UDP     \(natClass == .udpBlocked ? "blocked: everything goes by TCP" : "works")",
      "NAT     \(name(natClass))",
      "IPv6    \(check.hasIPv6.map { $0 ? "works" : "does not reach the relays" } ?? "no relay has it")",
      "MTU     \(check.mtuBytes.map { "\($0) bytes" } ?? "unknown")",
      "seen as \(list(check.findings.mapped.map(\.description)))",
      "own     \(list(check.findings.own.map(\.description)))",
    ]
    guard !check.relays.isEmpty else {
      lines.append("no relay: the head has none, or its UDP port could not be had")
      return lines.joined(separator: "\n") + "\n"
    }
    let table = Table(
      columns: [
        .init("RELAY", mayShrink: true), .init("ADDRESS", mayShrink: true),
        .init("RTT", isRightAligned: true), .init("TCP"),
      ],
      rows: check.relays.map { relay in
        [
          relay.offer.target.name,
          relay.offer.target.addresses.first?.description ?? "-",
          relay.roundTripMilliseconds.map { "\(PathRendering.tenths($0)) ms" } ?? "no answer",
          relay.streamConnects.map { $0 ? "yes" : "no" } ?? "-",
        ]
      })
    return lines.joined(separator: "\n") + "\n\n" + table.render(style)
  }

  private static func list(_ items: [String]) -> String {
    items.isEmpty ? "-" : items.joined(separator: ", ")
  }

  private static func name(_ natClass: NATClass) -> String {
    switch natClass {
    case .unknown: "unknown"
    case .udpBlocked: "unknown (UDP is blocked)"
    case .open: "none"
    case .cone: "cone (one mapping for all; lets in everybody, or whom it was not asked about)"
    case .portRestricted: "port-restricted (one mapping for all; lets in who was written to)"
    case .symmetric: "symmetric (another mapping for each destination)"
    }
  }
}
