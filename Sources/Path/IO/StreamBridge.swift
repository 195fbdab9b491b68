internal import CPath
internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// The relay's TCP port: each stream gets a UDP socket of its own on this machine, from which its
/// datagrams reach the relay as if they had come by UDP.
final class StreamBridge: Sendable {
  /// Streams at once, and of one address.
  static let limit = 512, limitPerAddress = 16
  /// A stream without a word for so long is closed.
  static let idle = Duration.seconds(90)

  let port: UInt16
  private let stopSignal: Int32
  private let isStopped = Mutex(false)

  init(listenOn address: SocketAddress?, port: UInt16, relayPort: UInt16) throws {
    let result: Int32
    if let address {
      var native = address.native
      result = iorun_tcp_listen(&native, port, 128)
    } else {
      result = iorun_tcp_listen(nil, port, 128)
    }
    let listener = try PathFailure.check(result, "listen on TCP port \(port)")
    self.port = UInt16(clamping: iorun_udp_port(listener))
    let stop = iorun_eventfd_create()
    stopSignal = stop
    let relay = (address ?? SocketAddress(v4: 127, 0, 0, 1, port: 0)).with(port: relayPort)
    let thread = Thread {
      Self.run(listener, stop, relay)
      close(listener)
      close(stop)
    }
    thread.name = "path-bridge"
    thread.start()
  }

  func stop() {
    isStopped.withLock { isStopped in
      guard !isStopped else { return }
      isStopped = true
      _ = iorun_eventfd_signal(stopSignal)
    }
  }

  private static func run(_ listener: Int32, _ stop: Int32, _ relay: SocketAddress) {
    var connections: [FramedConnection] = []
    var sources: [Int32: [UInt8]] = [:]
    defer { for connection in connections { connection.shut() } }
    while true {
      var polled = [stop, listener].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      for connection in connections {
        let events = connection.wantsToWrite ? POLLIN | POLLOUT : POLLIN
        polled.append(pollfd(fd: connection.stream, events: Int16(events), revents: 0))
        polled.append(pollfd(fd: connection.udp, events: Int16(POLLIN), revents: 0))
      }
      poll(&polled, nfds_t(polled.count), 5000)
      if polled[0].revents != 0 { return }
      let now = PathClock.now()
      var over: Set<Int32> = []
      for (index, connection) in connections.enumerated() {
        let (stream, udp) = (polled[2 + index * 2].revents, polled[3 + index * 2].revents)
        var isGood = now - connection.lastWord < idle
        if stream & ~Int16(POLLOUT) != 0 { isGood = connection.readStream(now: now) && isGood }
        if udp != 0 { isGood = connection.readUDP(now: now) && isGood }
        if stream & Int16(POLLOUT) != 0 { isGood = connection.write() && isGood }
        if !isGood { over.insert(connection.stream) }
      }
      for connection in connections where over.contains(connection.stream) {
        sources[connection.stream] = nil
        connection.shut()
      }
      connections.removeAll { over.contains($0.stream) }
      if polled[1].revents != 0 {
        accept(listener, relay, now, &connections, &sources)
      }
    }
  }

  private static func accept(
    _ listener: Int32, _ relay: SocketAddress, _ now: Duration,
    _ connections: inout [FramedConnection], _ sources: inout [Int32: [UInt8]]
  ) {
    for _ in 0..<32 {
      var from = iorun_path_address()
      let stream = iorun_tcp_accept(listener, &from)
      guard stream >= 0, let source = SocketAddress(from)?.address else { return }
      let fromThere = sources.values.count { $0 == source }
      var own = relay.with(port: 0).native
      let udp =
        connections.count < limit && fromThere < limitPerAddress
        ? iorun_udp_open(&own, 0, 0) : -1
      guard udp >= 0 else {
        close(stream)
        continue
      }
      sources[stream] = source
      connections.append(FramedConnection(stream: stream, udp: udp, local: relay, now: now))
    }
  }
}
