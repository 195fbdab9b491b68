internal import Foundation
public import IorunCore

/// The addresses of this machine's interfaces.
public enum OwnAddresses {
  /// The most that are told: a machine with many containers has hundreds.
  public static let limit = 12

  /// All that another machine could reach, with `port`: interfaces that are up, without loopback and
  /// link-local addresses.
  public static func all(port: UInt16) -> [SocketAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var found: [SocketAddress] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard entry.ifa_flags & UInt32(IFF_UP) != 0,
        entry.ifa_flags & UInt32(IFF_LOOPBACK) == 0, let raw = entry.ifa_addr,
        let address = Self.read(raw, port: port), !address.isLinkLocal, !address.isUnusable,
        !found.contains(address)
      else { continue }
      found.append(address)
    }
    return Array(found.prefix(limit))
  }

  static func read(_ raw: UnsafeMutablePointer<sockaddr>, port: UInt16) -> SocketAddress? {
    switch Int32(raw.pointee.sa_family) {
    case AF_INET:
      raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { four in
        var address = four.pointee.sin_addr
        return withUnsafeBytes(of: &address) {
          SocketAddress(address: Array($0), port: port)
        }
      }
    case AF_INET6:
      raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { six in
        var address = six.pointee.sin6_addr
        return withUnsafeBytes(of: &address) { SocketAddress(address: Array($0), port: port) }
      }
    default: nil
    }
  }
}
