internal import CShim
internal import Foundation
internal import IorunCore

/// The sockets of a resolver, none of which blocks.
enum ResolverSocket {
  /// A socket for datagrams at an address of a namespace (-1: the present one).
  static func datagram(at place: SocketAddress, in space: Int32) throws -> Int32 {
    try open(place, Int32(SOCK_DGRAM.rawValue), in: space)
  }

  /// A socket that takes connections there.
  static func listener(at place: SocketAddress, in space: Int32) throws -> Int32 {
    let socket = try open(place, Int32(SOCK_STREAM.rawValue), in: space)
    guard listen(socket, 16) == 0 else {
      let number = errno
      close(socket)
      throw IorunError.system("cannot listen at", "\(place)", errno: number)
    }
    return socket
  }

  /// A socket for datagrams to and from one address only; negative where there is none.
  static func connected(to place: SocketAddress, in space: Int32) -> Int32 {
    let socket = make(place, Int32(SOCK_DGRAM.rawValue), in: space)
    guard socket >= 0 else { return socket }
    guard withAddress(place, { connect(socket, $0, $1) }) == 0 else {
      close(socket)
      return -1
    }
    return socket
  }

  /// Reads what there is, up to a message's most; false once nothing more comes.
  static func read(_ socket: Int32, into heard: inout [UInt8]) -> Bool {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while heard.count < 2 + 65_535 {
      let count = recv(socket, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      if count == 0 { return false }
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      heard += bytes.prefix(count)
    }
    return false
  }

  /// The first message of a stream, once all of it is there (RFC 1035, section 4.2.2).
  static func message(in heard: [UInt8]) -> [UInt8]? {
    guard heard.count >= 2 else { return nil }
    let length = Int(heard[0]) << 8 | Int(heard[1])
    guard heard.count >= 2 + length else { return nil }
    return Array(heard[2..<2 + length])
  }

  private static func open(_ place: SocketAddress, _ type: Int32, in space: Int32) throws -> Int32 {
    let socket = make(place, type, in: space)
    guard socket >= 0 else {
      throw IorunError.system("cannot make", "a socket of a resolver", errno: -socket)
    }
    var on: Int32 = 1
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    guard withAddress(place, { bind(socket, $0, $1) }) == 0 else {
      let number = errno
      close(socket)
      throw IorunError.system("cannot take the address", "\(place)", errno: number)
    }
    return socket
  }

  private static func make(_ place: SocketAddress, _ type: Int32, in space: Int32) -> Int32 {
    let family = place.isV4 ? AF_INET : AF_INET6
    let kind = type | Int32(SOCK_NONBLOCK.rawValue)
    if space >= 0 { return iorun_netns_socket(space, family, kind, 0) }
    let made = socket(family, kind | Int32(SOCK_CLOEXEC.rawValue), 0)
    return made < 0 ? -errno : made
  }

  private static func withAddress(
    _ place: SocketAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var storage = sockaddr_storage()
    return withUnsafeMutableBytes(of: &storage) { raw in
      let length: Int
      if place.isV4 {
        var four = sockaddr_in()
        four.sin_family = sa_family_t(AF_INET)
        four.sin_port = place.port.bigEndian
        withUnsafeMutableBytes(of: &four.sin_addr) { $0.copyBytes(from: place.address) }
        length = MemoryLayout<sockaddr_in>.size
        withUnsafeBytes(of: four) { raw.copyMemory(from: $0) }
      } else {
        var six = sockaddr_in6()
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = place.port.bigEndian
        withUnsafeMutableBytes(of: &six.sin6_addr) { $0.copyBytes(from: place.address) }
        length = MemoryLayout<sockaddr_in6>.size
        withUnsafeBytes(of: six) { raw.copyMemory(from: $0) }
      }
      guard let base = raw.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
      return body(base, socklen_t(length))
    }
  }
}
