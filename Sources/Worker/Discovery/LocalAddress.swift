import Glibc
import IorunCore

/// The address with which this machine reaches a host, and the interface that carries it: what a
/// node tells the ranks of other nodes.
public struct LocalAddress: Hashable, Sendable {
  /// The address, as numbers.
  public var address: String
  /// The interface's name, for example `eth0`.
  public var interface: String

  /// Describes an address.
  public init(address: String, interface: String) {
    self.address = address
    self.interface = interface
  }

  /// Asks the routing table which address reaches `host`. Nothing is sent. Blocks for a name
  /// look-up where `host` is a name. Throws `unreachable`.
  public static func toward(host: String, port: UInt16) throws -> LocalAddress {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let failure = getaddrinfo(host, String(port), &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard failure == 0 else {
      throw IorunError(
        .unreachable, "'\(host)' cannot be looked up: \(String(cString: gai_strerror(failure)))",
        remedy: "Check the host's name, or use its address")
    }
    var candidate = list
    while let info = candidate?.pointee {
      if let address = source(toward: info), let interface = interface(carrying: address) {
        return LocalAddress(address: address, interface: interface)
      }
      candidate = info.ai_next
    }
    throw IorunError(
      .unreachable, "this machine has no route to '\(host)'",
      remedy: "Check the network connection, or give the address to use yourself")
  }

  /// The interface that has `address`; `nil` where none has. All of 127.0.0.0/8 is the loopback
  /// interface's, though only 127.0.0.1 is listed.
  public static func interface(carrying address: String) -> String? {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return nil }
    defer { freeifaddrs(list) }
    var loopback: String?
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      let name = String(cString: entry.ifa_name)
      if entry.ifa_flags & UInt32(IFF_LOOPBACK) != 0 { loopback = name }
      guard let socketAddress = entry.ifa_addr else { continue }
      if text(socketAddress) == address { return name }
    }
    return address.hasPrefix("127.") ? loopback : nil
  }

  /// An IPv4 address of this machine that is not loopback; `nil` where there is none.
  public static func firstPublic() -> String? {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return nil }
    defer { freeifaddrs(list) }
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard entry.ifa_flags & UInt32(IFF_LOOPBACK) == 0, let address = entry.ifa_addr,
        Int32(address.pointee.sa_family) == AF_INET
      else { continue }
      if let text = text(address) { return text }
    }
    return nil
  }

  private static func source(toward info: addrinfo) -> String? {
    let descriptor = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    // Connecting a datagram socket only chooses a route.
    guard connect(descriptor, info.ai_addr, info.ai_addrlen) == 0 else { return nil }
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        getsockname(descriptor, address, &size) == 0 ? text(address) : nil
      }
    }
  }

  private static func text(_ address: UnsafeMutablePointer<sockaddr>) -> String? {
    let size: Int
    switch Int32(address.pointee.sa_family) {
    case AF_INET: size = MemoryLayout<sockaddr_in>.size
    case AF_INET6: size = MemoryLayout<sockaddr_in6>.size
    default: return nil
    }
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    guard
      getnameinfo(
        address, socklen_t(size), &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) == 0
    else { return nil }
    let bytes = host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
