internal import IorunCore

extension PathKeeper {
  /// The largest packet, in bytes with its IP header, that reaches a reflector and is answered;
  /// `nil` where none is. Needs a socket of its own (`UDPSocket`). Takes at most two seconds.
  public func findMTU(to target: ReflectorTarget) async -> Int? {
    guard let socket = channel as? UDPSocket, let address = target.addresses.first else {
      return nil
    }
    socket.probeMTU(true)
    defer { socket.probeMTU(false) }
    let headers = address.isV4 ? 28 : 48
    // What links have, from Ethernet with large frames down to IPv6's least; then the exact number
    // is between two of these.
    let usual = [9000, 1500, 1492, 1480, 1460, 1440, 1420, 1400, 1380, 1360, 1280]
    for size in usual {
      for _ in 0..<2 where await isAnswered(size - headers, target, address) { return size }
    }
    return nil
  }

  private func isAnswered(
    _ byteCount: Int, _ target: ReflectorTarget, _ address: SocketAddress
  ) async -> Bool {
    guard let transaction = try? Self.seed(),
      let bytes = try? RelayPacket.probe(
        transaction: transaction, fromOtherPort: false, byteCount: byteCount
      ).bytes(key: target.key)
    else { return false }
    sizeProbe = (transaction, false)
    channel.send(bytes, to: address, timeToLive: nil)
    for _ in 0..<8 {
      try? await Task.sleep(for: .milliseconds(25))
      if sizeProbe?.isAnswered == true { return true }
    }
    return false
  }
}
