internal import Foundation
public import IorunCore

/// Looks names up.
public enum HostLookup {
  /// The addresses of `host`, a name or numbers, with `port`; at most eight, none where the name is
  /// unknown. May take seconds; runs off the cooperative pool.
  public static func addresses(of host: String, port: UInt16) async -> [SocketAddress] {
    let name = bare(host[...])
    if let numeric = SocketAddress(host: name, port: port) { return [numeric] }
    return (try? await Blocking.run { lookUp(name, port) }) ?? []
  }

  /// The host of `host:port`; of an IPv6 address what stands in the brackets.
  public static func host(of address: String) -> String {
    bare(address.lastIndex(of: ":").map { address[..<$0] } ?? address[...])
  }

  private static func bare(_ host: Substring) -> String {
    host.first == "[" && host.last == "]" ? String(host.dropFirst().dropLast()) : String(host)
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
