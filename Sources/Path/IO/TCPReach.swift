internal import CPath
internal import Foundation
public import IorunCore

/// Whether a TCP connection to an address can be had.
public enum TCPReach {
  /// How long addresses that are named before the first that answered may still take.
  private static let preference = Duration.milliseconds(50)

  /// Tries all addresses at once, and closes the connections again. Blocks for at most `limit`.
  ///
  /// - Returns: the first one in the list of those that answered about as early as any.
  public static func first(
    of addresses: [SocketAddress], within limit: Duration
  ) -> SocketAddress? {
    var (answered, waiting): ([Int], [Int: Int32]) = ([], [:])
    defer { for stream in waiting.values { close(stream) } }
    for (index, address) in addresses.enumerated() where !address.isUnusable {
      let stream = iorun_tcp_bound(address.isV4 ? 0 : 1, 0)
      guard stream >= 0 else { continue }
      var native = address.native
      switch iorun_tcp_connect(stream, &native, 0) {
      case 0:
        answered.append(index)
        close(stream)
      case -EINPROGRESS: waiting[index] = stream
      default: close(stream)
      }
    }
    var end = PathClock.now() + limit
    while !waiting.isEmpty {
      let isDecided = answered.min().map { best in !waiting.keys.contains { $0 < best } } ?? false
      let left = end - PathClock.now()
      guard !isDecided, left > .zero else { break }
      let indices = Array(waiting.keys)
      var polled = indices.map {
        pollfd(fd: waiting[$0] ?? -1, events: Int16(POLLOUT), revents: 0)
      }
      poll(&polled, nfds_t(polled.count), Int32((left / .milliseconds(1)).rounded(.up)))
      for (index, each) in zip(indices, polled) where each.revents != 0 {
        waiting[index] = nil
        if iorun_tcp_outcome(each.fd) == 0 {
          if answered.isEmpty { end = min(end, PathClock.now() + preference) }
          answered.append(index)
        }
        close(each.fd)
      }
    }
    return answered.min().map { addresses[$0] }
  }
}
