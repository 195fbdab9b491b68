internal import IorunCore
internal import IorunWire

/// Counts the bytes that wait for each peer, so that a sender learns at once that it is too fast.
struct OutboundBudget: Sendable {
  /// The most that may wait for one peer.
  static let bytesPerPeer = 64 << 20

  private var waiting: [PeerID: Int] = [:]

  /// Takes room for a payload.
  ///
  /// - Throws: `tooLarge` or `overloaded`.
  mutating func reserve(_ byteCount: Int, for peer: PeerID) throws {
    guard byteCount <= WireLimits.payloadBytes else {
      throw IorunError(
        .tooLarge, "a payload of \(byteCount) bytes is over the limit",
        remedy: "Send large data in pieces")
    }
    let sum = waiting[peer, default: 0] + byteCount
    guard sum <= Self.bytesPerPeer else {
      throw IorunError(
        .overloaded, "\(Bytes(UInt64(Self.bytesPerPeer))) already wait for peer \(peer.short)",
        remedy: "Wait for answers before you send more")
    }
    waiting[peer] = sum
  }

  /// Gives room back after an acknowledgement.
  mutating func release(_ byteCount: Int, for peer: PeerID) {
    let left = waiting[peer, default: 0] - byteCount
    waiting[peer] = left > 0 ? left : nil
  }

  /// Gives all room of a peer back.
  mutating func releaseAll(for peer: PeerID) { waiting[peer] = nil }
}
