import ArgumentParser
import CPath
import CPathBench
import Foundation
import IorunCore
import IorunCrypto
import IorunPath
import Synchronization

/// A TCP stream that is carried over a path of datagrams, as links of agents behind routers are, beside
/// the same stream as it is: bytes a second on loopback, both ends in this process.
enum SessionStream {
  struct Figures {
    var plainBytesPerSecond: Double
    var carriedBytesPerSecond: Double
  }

  static func measure(seconds: Double) throws -> Figures {
    var pair: [Int32] = [0, 0]
    guard pathbench_tcp_pair(&pair) == 0 else {
      throw ValidationError("no TCP connections on loopback")
    }
    let plain = flow(from: pair[0], to: pair[1], seconds: seconds)

    var anywhere = iorun_path_address()
    anywhere.length = 4
    anywhere.bytes.0 = 127
    anywhere.bytes.3 = 1
    let listener = iorun_tcp_listen(&anywhere, 0, 4)
    let port = iorun_udp_port(listener)
    guard listener >= 0, port > 0 else { throw ValidationError("no listener on loopback") }
    let target = SocketAddress(v4: 127, 0, 0, 1, port: UInt16(port))
    let (sockets, keys) = ([try UDPSocket(), try UDPSocket()], [try X25519(), try X25519()])
    let keepers = zip(sockets, keys).map { PathKeeper(channel: $0, key: $1) }
    let started = DispatchSemaphore(value: 0)
    Task {
      for keeper in keepers { await keeper.start() }
      started.signal()
    }
    started.wait()
    let bridges = try [0, 1].map { end in
      try keepers[end].bridge(
        to: keys[1 - end].publicKey, as: SocketAddress(v4: 127, 64, 0, UInt8(end + 1), port: 0),
        target: target)
    }
    for end in [0, 1] {
      bridges[end].setRoute(
        PathRoute(SocketAddress(v4: 127, 0, 0, 1, port: sockets[1 - end].port)))
    }
    defer {
      for bridge in bridges { bridge.stop() }
      for socket in sockets { socket.shut() }
      close(listener)
    }
    var to = iorun_path_address()
    to.length = 4
    for (index, byte) in bridges[0].address.address.enumerated() {
      withUnsafeMutableBytes(of: &to.bytes) { $0[index] = byte }
    }
    to.port = bridges[0].address.port
    let near = iorun_tcp_bound(0, 0)
    _ = iorun_tcp_connect(near, &to, 0)
    var polled = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
    var from = iorun_path_address()
    guard poll(&polled, 1, 10_000) > 0 else { throw ValidationError("nothing was carried") }
    let far = iorun_tcp_accept(listener, &from)
    for stream in [near, far] {
      _ = fcntl(stream, F_SETFL, fcntl(stream, F_GETFL) & ~O_NONBLOCK)
    }
    let carried = flow(from: near, to: far, seconds: seconds)
    return Figures(plainBytesPerSecond: plain, carriedBytesPerSecond: carried)
  }

  /// Bytes a second until the last one has arrived.
  private static func flow(from writer: Int32, to reader: Int32, seconds: Double) -> Double {
    let start = DispatchTime.now().uptimeNanoseconds
    Thread { _ = pathbench_write(writer, seconds) }.start()
    let bytes = pathbench_read(reader)
    return Double(bytes) / (Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
  }
}
