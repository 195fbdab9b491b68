public import IorunCore

/// Passes end. A newer one for the same relay is bound beside the one in use and takes its place once
/// the relay has taken it, so that the way never closes.
extension PathKeeper {
  /// Takes a newer pass for a peer. For another relay than the present one, or where that does not
  /// answer, it is `setRelay`.
  ///
  /// - Throws: `internalFault` where OpenSSL fails.
  public func renewRelay(
    _ name: String, _ pass: RelayPass, through shim: [SocketAddress]? = nil
  ) throws {
    guard let held = peers[name] else { return }
    guard let binding = held.binding, binding.isUp, binding.pass.addresses == pass.addresses,
      binding.pass.slot == pass.slot, binding.pass.leg == pass.leg
    else { return try setRelay(name, pass, through: shim) }
    peers[name]?.renewal = (
      RelayBinding(pass, through: shim, seed: try Self.seed()), try RelayHeader(pass)
    )
    tick()
  }

  /// Until when the pass in use is good, in seconds since 1970 (UTC); `nil` where there is none.
  public func relayPassEnd(_ name: String) -> UInt64? { peers[name]?.binding?.pass.expiresAt }

  /// Does what a newer pass's binding wants.
  func carryOutRenewal(_ actions: [RelayBinding.Action], of name: String) {
    for action in actions {
      switch action {
      case .send(let bytes, let address): channel.send(bytes, to: address, timeToLive: nil)
      case .up(let address):
        guard let held = peers[name], let renewal = held.renewal else { continue }
        peers[name]?.binding = renewal.binding
        peers[name]?.header = renewal.header
        peers[name]?.renewal = nil
        // The relay knows this end by the new header only, from now on.
        if let route = held.route, !route.isDirect {
          let next = PathRoute(address, relayHeader: renewal.header.data)
          peers[name]?.route = next
          held.onRoute(next)
        }
      case .down: continue
      }
    }
  }
}
