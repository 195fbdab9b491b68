internal import IorunCore
internal import Logging

/// Where a socket does not listen for a while because the process had no descriptor left for a
/// connection: peers that are linked stay so, and libzmq does not ask the kernel for the same
/// connection again and again, with a whole core.
struct ListenerPauses {
  /// For so long nobody is let in.
  static let length = Duration.seconds(1)

  /// Until when, by address.
  private var ends: [String: MonotonicTime] = [:]
  private let logger = Logger(label: "iorun.mesh")

  /// Stops listening at these addresses. Not at Unix sockets, which others have given their access
  /// rights.
  mutating func begin(at starved: Set<String>, of socket: ZMQSocket, now: MonotonicTime) {
    for address in starved where ends[address] == nil && address.hasPrefix("tcp:") {
      guard (try? socket.unbind(address)) != nil else { continue }
      ends[address] = now + Self.length
      logger.error(
        """
        no file descriptor is left for a new peer at \(address); it is let in when others have gone. \
        Raise the limit: LimitNOFILE= of systemd, ulimit -n
        """)
    }
  }

  /// Listens again where the time is up.
  mutating func end(of socket: ZMQSocket, now: MonotonicTime) {
    for (address, end) in ends where end <= now {
      // The kernel may not have let go of the address yet: then with the next look.
      if (try? socket.bind(address)) != nil { ends[address] = nil }
    }
  }
}
