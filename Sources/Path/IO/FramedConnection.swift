internal import CPath
internal import Foundation
internal import IorunCore

/// One stream of framed datagrams and the UDP socket that stands for it on this machine. Owned by
/// one thread.
final class FramedConnection {
  let stream: Int32
  let udp: Int32
  /// Where the stream's datagrams go on this machine; at a node: whence the last one came.
  var local: SocketAddress?
  private let followsSender: Bool
  private var frames: StreamFrames
  private var buffer = [UInt8](repeating: 0, count: 65_536)
  private(set) var lastWord: Duration

  /// - Parameter local: where datagrams go; `nil`: to whoever wrote to `udp` last.
  init(stream: Int32, udp: Int32, local: SocketAddress?, now: Duration) {
    self.stream = stream
    self.udp = udp
    self.local = local
    followsSender = local == nil
    frames = StreamFrames(expectsPreface: local != nil)
    lastWord = now
  }

  var wantsToWrite: Bool { !frames.outgoing.isEmpty }

  /// Takes what the stream has; false where it is over.
  func readStream(now: Duration) -> Bool {
    for _ in 0..<16 {
      let count = recv(stream, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      guard count > 0, let datagrams = frames.receive(buffer.prefix(count)) else { return false }
      lastWord = now
      guard let local else { continue }
      var native = local.native
      for datagram in datagrams {
        _ = datagram.withUnsafeBytes {
          iorun_udp_send(udp, &native, $0.baseAddress, $0.count, 0)
        }
      }
    }
    return true
  }

  /// Takes what the UDP socket has. From this machine only: what else comes is nobody's.
  func readUDP(now: Duration) -> Bool {
    for _ in 0..<64 {
      var from = iorun_path_address()
      let count = iorun_udp_receive(udp, &from, &buffer, buffer.count)
      if count == -Int(ECONNREFUSED) { continue }
      guard count >= 0 else { break }
      guard let sender = SocketAddress(from) else { continue }
      if followsSender {
        local = sender
      } else if sender != local {
        continue
      }
      lastWord = now
      _ = frames.send(buffer.prefix(count))
    }
    return write()
  }

  /// Sends what waits; false where the stream is over.
  func write() -> Bool {
    while !frames.outgoing.isEmpty {
      let count = frames.outgoing.withUnsafeBytes {
        Glibc.send(
          stream, $0.baseAddress, $0.count,
          Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
      }
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      frames.sent(count)
    }
    return true
  }

  func shut() {
    close(stream)
    close(udp)
  }
}
