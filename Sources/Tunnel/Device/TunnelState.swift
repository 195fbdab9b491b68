internal import CTunnel
internal import IorunCore

/// What is under a tunnel's lock: the machine, and C's device that does what it wants.
struct TunnelState {
  /// Handshakes and timers.
  var machine: WireGuardMachine
  /// C's device; `nil` once the tunnel is closed.
  var device: DeviceHandle?
  /// Whether too many handshakes wait.
  var load = LoadGauge()
  /// Who takes datagrams that are not WireGuard's.
  var handler: (@Sendable ([UInt8], SocketAddress) -> Void)?

  /// Does what the machine wants.
  mutating func perform(_ actions: [WireGuardAction], _ device: OpaquePointer) {
    for action in actions {
      switch action {
      case .answer(let bytes, let endpoint):
        var place = ct_endpoint(endpoint)
        ct_device_send(device, &place, bytes, bytes.count, 0)
      case .send(let bytes, let peer):
        var place = ct_endpoint()
        ct_peer_endpoint(device, UInt16(peer), &place)
        // Without an endpoint nothing is sent; the peer may write first.
        if place.port != 0 { ct_device_send(device, &place, bytes, bytes.count, 0) }
      case .install(let session, let peer):
        var keys = ct_session(session)
        ct_session_install(device, UInt16(peer), &keys)
        withUnsafeMutableBytes(of: &keys) { ct_erase($0.baseAddress, $0.count) }
      case .follow(let endpoint, let peer):
        var place = ct_endpoint(endpoint)
        ct_peer_learn_endpoint(device, UInt16(peer), &place)
      case .keepalive(let peer): ct_peer_keepalive(device, UInt16(peer))
      case .eraseKeys(let peer): ct_sessions_erase(device, UInt16(peer))
      case .dropWaiting(let peer): ct_peer_drop_waiting(device, UInt16(peer))
      }
    }
  }

  /// Tells C of a peer.
  func apply(_ peer: TunnelPeer, number: Int, _ device: OpaquePointer) {
    ct_peer_add(device, UInt16(number), peer.roams)
    if let endpoint = peer.endpoint {
      var place = ct_endpoint(endpoint)
      ct_peer_set_endpoint(device, UInt16(number), &place)
    }
  }

  /// Gives C the table of who may have which addresses.
  func allowAll(_ device: OpaquePointer) {
    let ranges = machine.configured.sorted { $0.key < $1.key }.flatMap { number, peer in
      peer.allowedIPs.map { ct_allowed($0, peer: number) }
    }
    ct_allowed_replace(device, ranges, ranges.count)
  }

  /// The number of a peer. Throws `notFound`.
  func known(_ key: TunnelPublicKey) throws -> Int {
    guard let number = machine.number(of: key) else {
      throw IorunError(.notFound, "the tunnel has no peer with the key \(key)")
    }
    return number
  }

  /// The number of a peer, or a free one. Throws `specInvalid` where there are too many.
  func freeNumber(for key: TunnelPublicKey) throws -> Int {
    if let number = machine.number(of: key) { return number }
    let used = machine.configured
    guard let number = (0..<TunnelConfig.maximumPeers).first(where: { used[$0] == nil }) else {
      throw IorunError(
        .specInvalid, "a tunnel has at most \(TunnelConfig.maximumPeers) peers")
    }
    return number
  }
}

/// C's device. `@unchecked`: its functions may be called from any thread as `ctunnel.h` says, which
/// ``TunnelCore`` sees to; the pointer itself never changes.
struct DeviceHandle: @unchecked Sendable {
  /// The device.
  let pointer: OpaquePointer
}
