/// Addresses of loopback that stand for peers on other machines: what a peer's connections, which come
/// over a path, come from here, and where its own end of one is dialled. Of 127.64.0.0/10, of which no
/// other use is known, so that bounds on an address hold for each such peer by itself.
extension SocketAddress {
  /// The address that stands for a peer, with no port.
  public static func standIn(for peer: PeerID) -> SocketAddress {
    func byte(_ shift: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: peer.low >> shift) }
    return SocketAddress(v4: 127, 64 | byte(16) & 63, byte(8), byte(0), port: 0)
  }

  /// Whether an IPv4 address as text is one that stands for a peer.
  public static func isStandIn(_ text: some Sequence<UInt8>) -> Bool {
    let parts = String(decoding: Array(text), as: UTF8.self).split(
      separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "127", let second = UInt8(parts[1]) else { return false }
    return (64...127).contains(second)
  }
}
