internal import IorunCore
public import IorunPath

/// Completes what the head says of relays: the head's own is where this process knows the head.
public struct RelayLookup: Sendable {
  private let host: String

  /// - Parameter headAddress: the head's `host:port`, as this process dials it.
  public init(headAddress: String) {
    host = HostLookup.host(of: headAddress)
  }

  /// Relays with all their addresses.
  public func complete(_ offers: [RelayOffer]) async -> [RelayOffer] {
    var completed: [RelayOffer] = []
    for var offer in offers.prefix(NATProbeLimits.relays) {
      offer.target.addresses = await complete(offer.target.addresses, port: offer.port)
      completed.append(offer)
    }
    return completed
  }

  /// A pass with all the relay's addresses.
  public func complete(_ pass: RelayPass, port: UInt16) async -> RelayPass {
    var completed = pass
    completed.addresses = await complete(pass.addresses, port: port)
    return completed
  }

  private func complete(_ addresses: [SocketAddress], port: UInt16) async -> [SocketAddress] {
    let usable = addresses.filter { !$0.isUnusable }.prefix(RelayPass.addressLimit)
    return usable.isEmpty
      ? await HostLookup.addresses(of: host, port: port) : Array(usable)
  }
}

/// Bounds on what of the head's word is used.
enum NATProbeLimits {
  static let relays = 16
}
