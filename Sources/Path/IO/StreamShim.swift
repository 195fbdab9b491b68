internal import CPath
internal import CShim
internal import Foundation
public import IorunCore
internal import Synchronization

/// A relay on this machine for those whose UDP is blocked: what is sent to its UDP address travels
/// to the real relay on one TCP connection, which is made anew whenever it breaks.
public final class StreamShim: Sendable {
  /// Where to send instead of to the relay.
  public let address: SocketAddress
  private let stopSignal: Int32
  private let state = Mutex((isStopped: false, isConnected: false))

  static let retries: [Duration] = [.milliseconds(200), .seconds(1), .seconds(3), .seconds(10)]

  /// Begins to connect.
  ///
  /// - Parameter relay: the relay's TCP addresses, tried in turn.
  /// - Throws: `internalFault` where there is no socket to be had.
  public init(to relay: [SocketAddress]) throws {
    let loopback = SocketAddress(v4: 127, 0, 0, 1, port: 0)
    let udp = try UDPSocket.open(on: loopback, port: 0, gro: false)
    address = loopback.with(port: UInt16(clamping: iorun_udp_port(udp)))
    let stop = iorun_eventfd_create()
    stopSignal = stop
    let thread = Thread { [weak self] in
      Self.run(relay, udp, stop) { connected in
        self?.state.withLock { $0.isConnected = connected }
      }
      close(udp)
      close(stop)
    }
    thread.name = "path-shim"
    thread.start()
  }

  deinit { stop() }

  /// Whether the relay's TCP port is connected now.
  public var isConnected: Bool { state.withLock { $0.isConnected } }

  /// Ends it.
  public func stop() {
    state.withLock { state in
      guard !state.isStopped else { return }
      state.isStopped = true
      _ = iorun_eventfd_signal(stopSignal)
    }
  }

  private static func run(
    _ relay: [SocketAddress], _ udp: Int32, _ stop: Int32, _ note: (Bool) -> Void
  ) {
    var tries = 0
    while !relay.isEmpty {
      if let stream = connect(to: relay[tries % relay.count], stop) {
        tries = 0
        note(true)
        let goesOn = carry(stream, udp, stop)
        note(false)
        close(stream)
        if !goesOn { return }
      }
      let wait = retries[min(tries, retries.count - 1)]
      tries += 1
      if isReadable(stop, within: wait) { return }
    }
  }

  /// Carries until the stream ends (true) or it is told to stop (false).
  private static func carry(_ stream: Int32, _ udp: Int32, _ stop: Int32) -> Bool {
    let connection = FramedConnection(stream: stream, udp: udp, local: nil, now: PathClock.now())
    while true {
      let events = connection.wantsToWrite ? POLLIN | POLLOUT : POLLIN
      var polled = [
        pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
        pollfd(fd: stream, events: Int16(events), revents: 0),
        pollfd(fd: udp, events: Int16(POLLIN), revents: 0),
      ]
      poll(&polled, 3, 10_000)
      if polled[0].revents != 0 { return false }
      let now = PathClock.now()
      if polled[1].revents & ~Int16(POLLOUT) != 0, !connection.readStream(now: now) { return true }
      if polled[2].revents != 0, !connection.readUDP(now: now) { return true }
      if polled[1].revents & Int16(POLLOUT) != 0, !connection.write() { return true }
    }
  }

  private static func connect(to address: SocketAddress, _ stop: Int32) -> Int32? {
    let stream = iorun_tcp_bound(address.isV4 ? 0 : 1, 0)
    guard stream >= 0 else { return nil }
    var native = address.native
    let begun = iorun_tcp_connect(stream, &native, 0)
    if begun == 0 { return stream }
    if begun == -EINPROGRESS {
      var polled = [
        pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
        pollfd(fd: stream, events: Int16(POLLOUT), revents: 0),
      ]
      poll(&polled, 2, 5000)
      if polled[0].revents == 0, polled[1].revents != 0, iorun_tcp_outcome(stream) == 0 {
        return stream
      }
    }
    close(stream)
    return nil
  }

  private static func isReadable(_ descriptor: Int32, within wait: Duration) -> Bool {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&polled, 1, Int32(wait / .milliseconds(1))) > 0
  }
}
