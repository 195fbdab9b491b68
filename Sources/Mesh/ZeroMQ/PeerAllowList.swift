public import IorunCore
internal import Synchronization

/// The keys that a listener of direct links admits, set by whoever knows which peers have business
/// with this process. Nobody at first.
public final class PeerAllowList: Sendable {
  private let peers = Mutex<[[UInt8]: PeerID]>([:])

  /// Admits nobody.
  public init() {}

  /// Admits exactly the owners of these Curve25519 public keys from now on. Links that are up stay:
  /// end them with `ZeroMQEndpoint.endLinks(to:)`.
  public func set(_ publicKeys: some Sequence<[UInt8]>) {
    var admitted: [[UInt8]: PeerID] = [:]
    for key in publicKeys where key.count == CurveKey.byteCount {
      admitted[key] = CurveKey.peer(of: key)
    }
    peers.withLock { $0 = admitted }
  }

  /// The public key of a peer that is admitted.
  public func key(of peer: PeerID) -> [UInt8]? {
    peers.withLock { peers in peers.first { $0.value == peer }?.key }
  }

  /// The rule, for `ZeroMQEndpoint.listen`.
  public func admits(_ publicKey: [UInt8]) -> PeerID? { peers.withLock { $0[publicKey] } }
}
