internal import CTunnel
internal import IorunCore

/// Copies bytes into one of C's arrays of 16.
private func fill(_ tuple: inout some Any, _ bytes: [UInt8]) {
  withUnsafeMutableBytes(of: &tuple) { $0.copyBytes(from: bytes.prefix($0.count)) }
}

extension ct_endpoint {
  /// What C has of an endpoint.
  init(_ endpoint: TunnelEndpoint) {
    self.init()
    fill(&address, endpoint.address.address)
    is_v6 = endpoint.address.isV4 ? 0 : 1
    port = endpoint.address.port
    relay_header = endpoint.relayHeader?.rawValue ?? 0
  }

  /// The endpoint; `nil` where there is none.
  var endpoint: TunnelEndpoint? {
    guard port != 0 else { return nil }
    let bytes = withUnsafeBytes(of: address) { Array($0.prefix(is_v6 == 0 ? 4 : 16)) }
    guard let place = SocketAddress(address: bytes, port: port) else { return nil }
    return TunnelEndpoint(
      place, relayHeader: TunnelEndpoint.RelayHeader(rawValue: relay_header))
  }
}

extension ct_allowed {
  /// What C has of an allowed range.
  init(_ range: IPPrefix, peer number: Int) {
    self.init()
    let range = range.masked
    fill(&address, range.address.bytes)
    is_v6 = range.address.isIPv6 ? 1 : 0
    length = UInt8(clamping: range.length)
    peer = UInt16(clamping: number)
  }
}

extension ct_interface_address {
  /// What C has of an interface's address.
  init(_ prefix: IPPrefix) {
    self.init()
    fill(&address, prefix.address.bytes)
    is_v6 = prefix.address.isIPv6 ? 1 : 0
    length = UInt8(clamping: prefix.length)
  }
}

extension ct_session {
  /// What C has of a session's keys. To be erased once C has taken it.
  init(_ session: WireGuardSession) {
    self.init()
    session.send.withBytes { bytes in
      withUnsafeMutableBytes(of: &send_key) { $0.copyMemory(from: bytes) }
    }
    session.receive.withBytes { bytes in
      withUnsafeMutableBytes(of: &receive_key) { $0.copyMemory(from: bytes) }
    }
    local_index = session.localIndex
    remote_index = session.remoteIndex
    created = session.created.bootNanoseconds
    is_initiator = session.isInitiator
  }
}

extension WireGuardTraffic {
  /// Reads C's counters.
  init(_ traffic: ct_traffic) {
    func time(_ value: UInt64) -> Duration? { value == 0 ? nil : .nanoseconds(Int64(value)) }
    self.init(
      dataSent: time(traffic.last_data_sent), dataReceived: time(traffic.last_data_received),
      sent: time(traffic.last_sent), received: time(traffic.last_received))
  }
}

extension Duration {
  /// The time since the machine's start.
  static var sinceBoot: Duration { .nanoseconds(Int64(ct_now())) }

  /// As C counts it.
  var bootNanoseconds: UInt64 {
    let parts = components
    return UInt64(clamping: parts.seconds) * 1_000_000_000
      + UInt64(clamping: parts.attoseconds / 1_000_000_000)
  }
}
