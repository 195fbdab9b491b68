public import IorunContract
internal import IorunCore

/// Peers and the authority's keys for people. `now` is in seconds since 1970.
public enum PeerRendering {
  /// Peers as a table, in the order given.
  public static func table(_ peers: [PeerStatus], now: Double) -> Table {
    Table(
      columns: [
        .init("PEER"), .init("NAME", mayShrink: true), .init("ROLE"),
        .init("OWNER", mayShrink: true), .init("LABELS", mayShrink: true), .init("ADMITTED"),
        .init("CERTIFICATE"),
      ],
      rows: peers.map { peer in
        [
          peer.id.short, peer.name, peer.role.rawValue, peer.owner.isEmpty ? "-" : peer.owner,
          labels(peer.labels), Ages.ago(peer.admittedAt, now: now), certificate(peer, now: now),
        ]
      })
  }

  /// Keys as a table, in the order given.
  public static func table(_ keys: [AuthorityStatus], now: Double) -> Table {
    Table(
      columns: [.init("KEY"), .init("STATE"), .init("PEERS", isRightAligned: true)],
      rows: keys.map { key in
        let state =
          if let end = key.acceptedUntil {
            end > now ? "accepted for \(Ages.duration(seconds: end - now))" : "over"
          } else {
            "signs"
          }
        return [String(Base32.encode(key.key).prefix(16)), state, "\(key.peers)"]
      })
  }

  static func labels(_ labels: [String: String]) -> String {
    labels.isEmpty
      ? "-"
      : labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
  }

  private static func certificate(_ peer: PeerStatus, now: Double) -> String {
    if peer.revokedAt != nil { return "revoked" }
    guard let end = peer.certificateEndsAt else { return "none that is accepted" }
    return end > now ? "for \(Ages.duration(seconds: end - now))" : "expired"
  }
}
