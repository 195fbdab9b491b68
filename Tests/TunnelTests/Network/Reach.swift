import Glibc
import IorunCore
import IorunTunnel
import Testing

/// Whether TCP gets from one namespace to an address in another.
enum Reach {
  /// Listens in `target` and dials `address` from `source`; gives up after `seconds`.
  static func tcp(
    _ address: String, from source: NetworkNamespace, to target: NetworkNamespace,
    within seconds: Double = 1
  ) throws -> Bool {
    let place = try #require(IPAddress(address))
    let family = place.isIPv6 ? AF_INET6 : AF_INET
    let type = Int32(SOCK_STREAM.rawValue)
    let listener = target.socket(family, type, 0)
    let dialler = source.socket(family, type | Int32(SOCK_NONBLOCK.rawValue), 0)
    try #require(listener >= 0 && dialler >= 0)
    defer { for descriptor in [listener, dialler] { close(descriptor) } }
    // Any address, any port.
    var port: UInt16 = 0
    try with(family, nil, port: 0) { try #require(bind(listener, $0, $1) == 0) }
    try #require(listen(listener, 1) == 0)
    var bound = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    withUnsafeMutableBytes(of: &bound) { bytes in
      guard let start = bytes.baseAddress else { return }
      getsockname(listener, start.assumingMemoryBound(to: sockaddr.self), &size)
      port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    }
    let result = try with(family, place, port: port) { connect(dialler, $0, $1) == 0 ? 0 : errno }
    if result == 0 { return true }
    guard result == EINPROGRESS else { return false }
    var events = [pollfd(fd: dialler, events: Int16(POLLOUT), revents: 0)]
    guard poll(&events, 1, Int32(seconds * 1000)) == 1 else { return false }
    var failure: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(dialler, SOL_SOCKET, SO_ERROR, &failure, &length)
    return failure == 0
  }

  private static func with<Result>(
    _ family: Int32, _ address: IPAddress?, port: UInt16,
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
  ) throws -> Result {
    var bytes = [UInt8](repeating: 0, count: 28)
    bytes[0] = UInt8(family)
    bytes[2] = UInt8(port >> 8)
    bytes[3] = UInt8(truncatingIfNeeded: port)
    let offset = family == AF_INET6 ? 8 : 4
    for (index, byte) in (address?.bytes ?? []).enumerated() { bytes[offset + index] = byte }
    return try bytes.withUnsafeBytes { raw in
      let start = try #require(raw.baseAddress)
      return try body(
        start.assumingMemoryBound(to: sockaddr.self), family == AF_INET6 ? 28 : 16)
    }
  }
}
