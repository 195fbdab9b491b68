internal import Foundation

/// Whether a host answers at all, without a service of ours there: a connection that is refused is an
/// answer of the host's kernel, and one that is made as well.
enum HostProbe {
  /// Discard (RFC 863): a port on which hardly anybody listens.
  private static let port: UInt16 = 9

  /// Blocks for at most `limit`. False for what is no IP address of another host, and where nothing
  /// answers; a firewall that drops everything looks like that, too.
  static func answers(_ address: String, within limit: Duration) -> Bool {
    roundTrip(address, within: limit) != nil
  }

  /// How long the answer takes; `nil` where `answers` is false. Blocks as that does.
  static func roundTrip(_ address: String, within limit: Duration) -> Duration? {
    let began = ContinuousClock.now
    return connects(address, within: limit) ? ContinuousClock.now - began : nil
  }

  private static func connects(_ address: String, within limit: Duration) -> Bool {
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address, "\(port)", &hints, &found) == 0, let target = found else {
      return false
    }
    defer { freeaddrinfo(target) }
    // Every host answers itself at its loopback address: that says nothing of another.
    guard !address.hasPrefix("127."), address != "::1" else { return false }
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(target.pointee.ai_family, kind | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    if connect(descriptor, target.pointee.ai_addr, target.pointee.ai_addrlen) == 0 { return true }
    if errno == ECONNREFUSED { return true }
    guard errno == EINPROGRESS else { return false }
    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard poll(&entry, 1, Int32(limit / .milliseconds(1))) == 1 else { return false }
    var failure: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 else { return false }
    return failure == 0 || failure == ECONNREFUSED
  }
}
