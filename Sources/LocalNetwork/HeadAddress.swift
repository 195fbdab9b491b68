internal import IorunCore
internal import IorunWorker

/// What a head's tickets name as its address.
public enum HeadAddress {
  /// The given address, else the one that it listens on, else, for a wildcard, the address with
  /// which this machine reaches others.
  ///
  /// - Throws: `unreachable` where a wildcard is given and this machine has no address but loopback.
  public static func advertised(listen: String, advertise: String?) throws -> String {
    if let advertise { return advertise }
    guard let colon = listen.lastIndex(of: ":") else { return listen }
    let (host, port) = (listen[..<colon], listen[listen.index(after: colon)...])
    guard ["0.0.0.0", "*", "[::]"].contains(host) else { return listen }
    // Nothing is sent: a datagram socket only asks the routing table. The address is one of those
    // reserved for documentation (RFC 5737), so it stands for "anywhere outside".
    if let place = try? LocalAddress.toward(host: "192.0.2.1", port: 9) {
      return "\(place.address):\(port)"
    }
    guard let address = LocalAddress.firstPublic() else {
      throw IorunError(
        .unreachable, "this machine has no address that others could dial",
        remedy: "Name one with --advertise HOST:PORT, or listen on 127.0.0.1 only")
    }
    return "\(address):\(port)"
  }
}
