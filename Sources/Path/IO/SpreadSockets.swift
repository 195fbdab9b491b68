internal import CPath
internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// Many sockets behind a symmetric NAT, all of which have written to one address: the peer there
/// pings guessed ports, and the socket that it meets becomes the way to it. Between that socket and
/// the channel stands a socket on loopback, so that the channel sends there as to any peer.
final class SpreadSockets: Sendable {
  static let count = 256
  /// How long the peer has to meet one.
  static let patience = Duration.seconds(8)
  /// A way on which nothing came for so long is over.
  static let silence = Duration.seconds(30)

  private let stopSignal: Int32
  private let isStopped = Mutex(false)

  init(to target: SocketAddress, word: [UInt8], name: [UInt8], channelPort: UInt16) throws {
    let stop = try PathFailure.check(iorun_eventfd_create(), "make an eventfd")
    stopSignal = stop
    let thread = Thread {
      Self.run(target, word, name, channelPort, stop)
      close(stop)
    }
    thread.name = "path-spread"
    thread.start()
  }

  deinit { stop() }

  func stop() {
    isStopped.withLock { isStopped in
      guard !isStopped else { return }
      isStopped = true
      _ = iorun_eventfd_signal(stopSignal)
    }
  }

  private static func run(
    _ target: SocketAddress, _ word: [UInt8], _ name: [UInt8], _ channelPort: UInt16,
    _ stop: Int32
  ) {
    var sockets: [Int32] = []
    defer { for socket in sockets { close(socket) } }
    var native = target.native
    for _ in 0..<count {
      let socket = iorun_udp_open(nil, 0, 0)
      guard socket >= 0 else { break }
      sockets.append(socket)
      // Opens this side's NAT; a word that reaches the other side's too early would do harm there.
      _ = iorun_udp_send(socket, &native, word, word.count, 4)
    }
    guard let (socket, first, from) = wait(sockets, target, name, stop) else { return }
    carry(socket, first, from, channelPort, stop)
  }

  private static func wait(
    _ sockets: [Int32], _ target: SocketAddress, _ name: [UInt8], _ stop: Int32
  ) -> (Int32, [UInt8], SocketAddress)? {
    let end = PathClock.now() + patience
    var polled = ([stop] + sockets).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    var buffer = [UInt8](repeating: 0, count: 2048)
    while PathClock.now() < end {
      poll(&polled, nfds_t(polled.count), 500)
      if polled[0].revents != 0 { return nil }
      for (index, socket) in sockets.enumerated() where polled[index + 1].revents != 0 {
        var from = iorun_path_address()
        let count = iorun_udp_receive(socket, &from, &buffer, buffer.count)
        guard count > 0, let address = SocketAddress(from), address.address == target.address,
          DiscoSeal.name(in: buffer.prefix(count)) == name
        else { continue }
        return (socket, Array(buffer.prefix(count)), address)
      }
    }
    return nil
  }

  private static func carry(
    _ socket: Int32, _ first: [UInt8], _ peer: SocketAddress, _ channelPort: UInt16, _ stop: Int32
  ) {
    let loopback = SocketAddress(v4: 127, 0, 0, 1, port: 0)
    var here = loopback.native
    let local = iorun_udp_open(&here, 0, 0)
    guard local >= 0 else { return }
    defer { close(local) }
    let channel = loopback.with(port: channelPort)
    var (inward, outward) = (channel.native, peer.native)
    _ = iorun_udp_send(local, &inward, first, first.count, 0)
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var lastWord = PathClock.now()
    var polled = [stop, socket, local].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    while PathClock.now() - lastWord < silence {
      poll(&polled, 3, 5000)
      if polled[0].revents != 0 { return }
      for _ in 0..<64 {
        var from = iorun_path_address()
        let count = iorun_udp_receive(socket, &from, &buffer, buffer.count)
        guard count > 0 else { break }
        guard SocketAddress(from) == peer else { continue }
        lastWord = PathClock.now()
        _ = iorun_udp_send(local, &inward, buffer, count, 0)
      }
      for _ in 0..<64 {
        var from = iorun_path_address()
        let count = iorun_udp_receive(local, &from, &buffer, buffer.count)
        guard count > 0 else { break }
        guard SocketAddress(from) == channel else { continue }
        _ = iorun_udp_send(socket, &outward, buffer, count, 0)
      }
    }
  }
}
