import CShim
import Foundation
import IorunCore

@testable import IorunSandbox

/// Two network namespaces: a machine with an interface to its neighbours and the internet, and a world
/// that has every address that a test wants to try. Gone with `close()`.
final class EgressLab {
  static let canRun =
    geteuid() == 0
    && ["nft", "ip", "tc", "sh"].allSatisfy { InstalledProgram.find($0) != nil }

  /// The machine's address in its network, and the public one that it has.
  static let hostAddresses = ["10.78.0.1", "203.5.6.7", "fd78::1", "2a00:5::7"]

  let host: Int32
  let world: Int32

  /// Builds it; `others` are addresses in the world.
  init(others: [String]) throws {
    host = iorun_netns_create()
    world = iorun_netns_create()
    guard host >= 0, world >= 0 else { throw IorunError(.sandboxFailed, "no namespaces") }
    try batch(
      [
        "link set lo up",
        "link add uplink type veth peer name far netns /proc/\(getpid())/fd/\(world)",
        "addr add 10.78.0.1/24 dev uplink", "addr add 203.5.6.7/32 dev uplink",
        "addr add fd78::1/64 dev uplink nodad", "addr add 2a00:5::7/128 dev uplink nodad",
        "link set uplink up", "route add default via 10.78.0.2", "route add ::/0 via fd78::2",
      ], in: host)
    // The world knows the machine's own network only: what comes from a sandbox untranslated gets no
    // answer.
    try batch(
      [
        "link set lo up", "addr add 10.78.0.2/24 dev far", "addr add fd78::2/64 dev far nodad",
        "link set far up", "route add 203.5.6.7/32 dev far", "route add 2a00:5::7/128 dev far",
      ]
        + others.map { "addr add \($0)/\($0.contains(":") ? 128 : 32) dev lo" }, in: world)
    // A machine that forwards nothing, whatever this one does. Else only the first refusals are told of.
    let settings = """
      echo 0 > /proc/sys/net/ipv4/ip_forward
      echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
      echo 100000 > /proc/sys/net/ipv4/icmp_msgs_per_sec 2>/dev/null
      echo 100000 > /proc/sys/net/ipv4/icmp_msgs_burst 2>/dev/null
      echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
      """
    _ = try EgressRouter.run("sh", [], input: settings, network: host)
  }

  deinit {
    close(host)
    close(world)
  }

  func batch(_ lines: [String], in space: Int32) throws {
    _ = try EgressRouter.run(
      "ip", ["-batch", "-"], input: lines.joined(separator: "\n") + "\n", network: space)
  }

  func tables() throws -> [String] {
    try EgressRouter.run("nft", ["list", "tables"], network: host).split(separator: "\n")
      .compactMap { $0.split(separator: " ").last.map(String.init) }.sorted()
  }

  /// What became of a connection.
  enum Fate: Equatable {
    /// Somebody, or nobody, listens there: the packets went through.
    case through
    /// The firewall said no, or there is no way.
    case refused
    /// Nothing was heard within the time.
    case silence
  }

  /// Tries to connect from a namespace.
  static func connect(
    from space: Int32, to address: IPAddress, port: UInt16, milliseconds: Int32 = 10_000
  ) -> Fate {
    connect(from: space, to: [SocketAddress(address, port: port)], milliseconds: milliseconds)[0]
  }

  /// The same with many at a time: a refusal over IPv6 is often heard only after the packet was sent
  /// again, a second later.
  static func connect(
    from space: Int32, to places: [SocketAddress], milliseconds: Int32 = 10_000
  ) -> [Fate] {
    let sockets = places.map {
      iorun_tcp_begin_connect(space, $0.address, Int32($0.address.count), $0.port)
    }
    return sockets.map { socket in
      guard socket >= 0 else { return .refused }
      defer { close(socket) }
      var wait = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
      while true {
        let count = poll(&wait, 1, milliseconds)
        if count == 0 { return .silence }
        if count > 0 { break }
      }
      let result = iorun_tcp_connect_result(socket)
      return result == 0 || result == -ECONNREFUSED ? .through : .refused
    }
  }
}

/// A name server of the world's, on a thread of its own: names that it knows, in turn with the answers
/// of its list; datagrams and connections.
final class FakeNameServer: Sendable {
  private let wake: Int32

  /// Answers at port 53 of `address`; every list has addresses, of which each question gets the next.
  init(at address: IPAddress, in space: Int32, answers: [String: [String]]) throws {
    let place = SocketAddress(address, port: 53)
    let datagrams = try ResolverSocket.datagram(at: place, in: space)
    let listener = try ResolverSocket.listener(at: place, in: space)
    wake = iorun_eventfd_create()
    let thread = Thread { [wake] in
      var answers = answers
      while true {
        var waits = [wake, datagrams, listener].map {
          pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        poll(&waits, 3, -1)
        if waits[0].revents != 0 { break }
        if waits[1].revents != 0 {
          var from = sockaddr_storage()
          var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
          var bytes = [UInt8](repeating: 0, count: 1500)
          withUnsafeMutablePointer(to: &from) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
              let count = recvfrom(datagrams, &bytes, bytes.count, 0, $0, &length)
              guard count > 0 else { return }
              let reply = Self.reply(to: Array(bytes.prefix(count)), &answers)
              sendto(datagrams, reply, reply.count, 0, $0, length)
            }
          }
        }
        if waits[2].revents != 0 {
          let socket = iorun_local_accept(listener)
          var heard: [UInt8] = []
          var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
          while ResolverSocket.message(in: heard) == nil, poll(&wait, 1, 5000) > 0,
            ResolverSocket.read(socket, into: &heard)
          {}
          if let message = ResolverSocket.message(in: heard) {
            let reply = Self.reply(to: message, &answers)
            let framed = [UInt8(reply.count >> 8), UInt8(reply.count & 0xff)] + reply
            send(socket, framed, framed.count, 0)
          }
          close(socket)
        }
      }
      for socket in [datagrams, listener, wake] { close(socket) }
    }
    thread.start()
  }

  func stop() { iorun_eventfd_signal(wake) }

  static func wire(_ name: String) -> [UInt8] {
    name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
  }

  private static func reply(to query: [UInt8], _ answers: inout [String: [String]]) -> [UInt8] {
    guard let question = DNSQuestion(query) else { return [] }
    var reply = question.reply(.fine)
    for (name, list) in answers where wire(name) == question.name {
      guard let text = list.first, let address = IPAddress(text) else { continue }
      answers[name] = Array(list.dropFirst()) + [text]
      guard (question.type == 28) == address.isIPv6 else { continue }
      // One answer: a pointer to the question's name, its type, class 1, no time to live, the address.
      reply[7] = 1
      reply += [0xc0, 12, 0, UInt8(question.type), 0, 1, 0, 0, 0, 0, 0, UInt8(address.bytes.count)]
      reply += address.bytes
    }
    return reply
  }
}
