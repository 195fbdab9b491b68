internal import CPath
internal import Foundation
public import IorunCore

/// Whether a TCP connection to an address can be had.
public enum TCPReach {
  /// Tries, and closes the connection again. Blocks for at most `limit`.
  public static func connects(to address: SocketAddress, within limit: Duration) -> Bool {
    guard !address.isUnusable else { return false }
    let stream = iorun_tcp_bound(address.isV4 ? 0 : 1, 0)
    guard stream >= 0 else { return false }
    defer { close(stream) }
    var native = address.native
    let begun = iorun_tcp_connect(stream, &native, 0)
    if begun == 0 { return true }
    guard begun == -EINPROGRESS else { return false }
    var polled = pollfd(fd: stream, events: Int16(POLLOUT), revents: 0)
    guard poll(&polled, 1, Int32(limit / .milliseconds(1))) > 0 else { return false }
    return iorun_tcp_outcome(stream) == 0
  }
}
