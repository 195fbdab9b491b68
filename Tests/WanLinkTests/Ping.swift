import Glibc
import WanLink

/// Echo requests (RFC 792), as the ping command sends them.
enum Ping {
  /// Sends `count` requests, each after the answer to the last or after `patience`, and returns
  /// how long each answer took.
  static func send(
    _ count: Int, to host: String, from role: String, of namespaces: NetworkNamespaces,
    patience: Duration
  ) async throws -> [Duration] {
    let descriptor = try namespaces.socket(
      in: role, domain: AF_INET, type: Int32(SOCK_RAW.rawValue), protocol: Int32(IPPROTO_ICMP))
    let socket = TestSocket(descriptor: descriptor)
    return try await TestSocket.blocking {
      try (0..<count).compactMap { number in
        let request = request(UInt8(number))
        let started = ContinuousClock.now
        let sent = TestSocket.withAddress(host) {
          sendto(socket.descriptor, request, request.count, 0, $0, $1)
        }
        guard sent == request.count else { throw TestSocket.Failed("send an echo request") }
        return answered(UInt8(number), on: socket.descriptor, by: started + patience)
          ? ContinuousClock.now - started : nil
      }
    }
  }

  private static func answered(
    _ number: UInt8, on descriptor: Int32, by deadline: ContinuousClock.Instant
  ) -> Bool {
    while true {
      let left = Int32((deadline - .now) / .milliseconds(1))
      var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard left > 0, poll(&polled, 1, left) > 0 else { return false }
      var packet = [UInt8](repeating: 0, count: 128)
      let length = recv(descriptor, &packet, packet.count, 0)
      // After 20 bytes of IP header: type 0 is an answer; the last byte of the header is our number.
      if length >= 28, packet[20] == 0, packet[27] == number { return true }
    }
  }

  private static func request(_ number: UInt8) -> [UInt8] {
    var packet: [UInt8] = [8, 0, 0, 0, 0x49, 0x4F, 0, number]
    var sum = stride(from: 0, to: packet.count, by: 2).reduce(UInt32(0)) {
      $0 + UInt32(packet[$1]) << 8 + UInt32(packet[$1 + 1])
    }
    sum = (sum & 0xFFFF) + (sum >> 16)
    packet[2] = UInt8(~sum >> 8 & 0xFF)
    packet[3] = UInt8(~sum & 0xFF)
    return packet
  }
}
