public import IorunCore
internal import Synchronization

/// What a dialled link is for.
public enum LinkPurpose: Sendable, Hashable {
  /// It leads to its peer and nowhere else.
  case direct
  /// Its peer also carries packets between this process and others: a relay.
  case carrier
}

/// A listener that was opened while the process runs.
public struct LinkListener: Sendable, Hashable {
  let number: UInt64
  /// The addresses, with the ports that the kernel chose.
  public let addresses: [String]
}

/// A link that was asked for.
struct DialledLink: Sendable {
  let address: String
  let purpose: LinkPurpose
  let monitor: UplinkMonitor
}

/// Links beside the uplink, which come and go while the process runs. Sessions do not notice: they
/// use a link of the peer's own where there is one, else a carrier, else the uplink, and what a
/// switch loses is sent again.
extension ZeroMQEndpoint {
  /// Dials a peer and keeps the link: it is dialled again whenever it breaks, until `hangUp`. A peer
  /// that is dialled already is dialled anew where the address is another.
  ///
  /// - Returns: what is known of the link; waits and failures are told there.
  @discardableResult
  public func dial(_ link: MeshUplink, as purpose: LinkPurpose = .direct) -> UplinkMonitor {
    let peer = CurveKey.peer(of: link.key)
    guard peer != uplinkPeer else { return uplinkMonitor }
    // Posted under the lock, so that the thread sees calls in the order in which they were counted.
    return dialled.withLock { dialled in
      if let present = dialled[peer], present.address == link.address,
        present.purpose == purpose
      {
        return present.monitor
      }
      let monitor = UplinkMonitor()
      dialled[peer] = DialledLink(address: link.address, purpose: purpose, monitor: monitor)
      mailbox.post(.dial(link, purpose, monitor))
      return monitor
    }
  }

  /// Ends a link that `dial` made, and the attempts to make it. The uplink stays.
  public func hangUp(_ peer: PeerID) {
    dialled.withLock { dialled in
      dialled[peer] = nil
      mailbox.post(.hangUp(peer))
    }
  }

  /// Ends the links that a peer made to this process, whoever of its processes made them.
  public func endLinks(to principal: PeerID) { mailbox.post(.endLinks(principal)) }

  /// A peer was revoked: its links end, its sessions and calls are over, and what it still sends over
  /// its connections is dropped. New ones are the business of the admission rule.
  public func expel(_ principal: PeerID) { mailbox.post(.expel(principal)) }

  /// Opens a listener with an admission rule of its own. Call it after `start`.
  ///
  /// - Parameters:
  ///   - addresses: ZeroMQ addresses, for example `tcp://0.0.0.0:0`.
  ///   - admits: which keys may connect, for example `PeerAllowList.admits`.
  ///   - credentials: what both ends are to show each other; `nil` where keys are enough.
  /// - Throws: `addressInUse` where an address cannot be had; `unreachable` after `stop`.
  public func listen(
    on addresses: [String], admits: @escaping KeyAdmission, credentials: LinkCredentials? = nil
  ) async throws -> LinkListener {
    try await withCheckedThrowingContinuation { continuation in
      mailbox.post(.listen(addresses, admits, credentials) { continuation.resume(with: $0) })
    }
  }

  /// Closes a listener and ends the links that came over it.
  public func close(_ listener: LinkListener) { mailbox.post(.closeListener(listener.number)) }

  /// Names the carrier through which a peer is reached while it has no link of its own; `nil` leaves
  /// it to the relay table and the uplink.
  public func setCarrier(_ carrier: PeerID?, of peer: PeerID) {
    mailbox.post(.carrier(carrier, of: peer))
  }

  /// Whether a link of the peer's own is up, so that nothing between this process and it passes a
  /// third one.
  ///
  /// - Throws: `unreachable` after `stop`.
  public func isDirect(to peer: PeerID) async throws -> Bool {
    try await withCheckedThrowingContinuation { continuation in
      mailbox.post(.isDirect(peer) { continuation.resume(with: $0) })
    }
  }
}
