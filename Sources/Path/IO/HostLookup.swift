internal import Foundation
public import IorunCore

/// Looks names up.
public enum HostLookup {
  /// The addresses of `host`, a name or numbers, with `port`; at most eight, none where the name is
  /// unknown. May take seconds; runs off the cooperative pool.
  public static func addresses(of host: String, port: UInt16) async -> [SocketAddress] {
    var text = host[...]
    if text.first == "[", text.last == "]" { text = text.dropFirst().dropLast() }
    if let numeric = SocketAddress(host: String(text), port: port) { return [numeric] }
    let name = String(text)
    return (try? await Blocking.run { lookUp(name, port) }) ?? []
  }

  private static func lookUp(_ name: String, _ port: UInt16) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var found: [SocketAddress] = []
    var next = list
    while let entry = next?.pointee, found.count < 8 {
      next = entry.ai_next
      guard let raw = entry.ai_addr, let address = OwnAddresses.read(raw, port: port) else {
        continue
      }
      if !found.contains(address) { found.append(address) }
    }
    return found
  }
}
