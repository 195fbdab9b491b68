import ArgumentParser
import Foundation
import IorunCore
import IorunTunnel

/// One end of a tunnel as a process of its own, so that it can stand in a network namespace. Reads a
/// description of the tunnel, then orders, a line each, from its input; ends with its input.
struct HostCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "host", abstract: "One end of a tunnel; for tests and this benchmark.",
    discussion: """
      First line of the input: a description as JSON. Further lines: renew KEY, endpoint KEY \
      ADDRESS [RELAY], send ADDRESS TTL TEXT, counters, drops, batches. Each is answered by one \
      line; a datagram that is not WireGuard's is printed as "datagram ADDRESS TEXT".
      """)

  mutating func run() async throws {
    guard let line = readLine(strippingNewline: true) else { return }
    let description = try JSONDecoder().decode(HostDescription.self, from: Data(line.utf8))
    let backend = SwiftWireGuardBackend(threads: description.threads == 2 ? .two : .one)
    let place: TunnelPlace = description.device.map { .device(descriptor: $0) } ?? .here
    let device = try await backend.open(try description.config, in: place)
    guard let tunnel = device as? SwiftWireGuard else { return }
    tunnel.onDatagram { bytes, source in
      Self.say("datagram \(source) \(String(decoding: bytes, as: UTF8.self))")
    }
    Self.say("ready \(tunnel.listenPort)")
    while let order = readLine(strippingNewline: true) {
      do {
        Self.say(try await Self.obey(order, tunnel))
      } catch {
        Self.say("error \(error)")
      }
    }
    await tunnel.close()
  }

  private static func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
  }

  private static func obey(_ order: String, _ tunnel: SwiftWireGuard) async throws -> String {
    let words = order.split(separator: " ").map(String.init)
    switch words.first {
    case "renew":
      try tunnel.renewKey(with: try key(words, 1))
    case "endpoint":
      guard words.count > 2, let address = SocketAddress(words[2]) else { break }
      let header = words.count > 3 ? UInt64(words[3], radix: 16) : nil
      try await tunnel.setEndpoint(
        TunnelEndpoint(address, relayHeader: header.flatMap { .init(rawValue: $0) }),
        of: try key(words, 1))
    case "send":
      guard words.count > 3, let address = SocketAddress(words[1]) else { break }
      try tunnel.send(Array(words[3].utf8), to: address, timeToLive: Int(words[2]))
    case "counters":
      let counters = try await tunnel.counters().map { key, counters in
        HostCounters(key, counters)
      }
      return String(decoding: try JSONEncoder().encode(counters), as: UTF8.self)
    case "drops":
      return String(decoding: try JSONEncoder().encode(try tunnel.drops()), as: UTF8.self)
    case "batches":
      return "\(try tunnel.batches())"
    default:
      return "unknown order"
    }
    return "done"
  }

  private static func key(_ words: [String], _ index: Int) throws -> TunnelPublicKey {
    guard words.count > index, let key = TunnelPublicKey(words[index]) else {
      throw ValidationError("no key")
    }
    return key
  }
}

/// What a peer's counters look like as JSON.
struct HostCounters: Codable {
  var peer: TunnelPublicKey
  var sentBytes: UInt64
  var receivedBytes: UInt64
  var sinceHandshakeSeconds: Double?
  var endpoint: String?

  init(_ peer: TunnelPublicKey, _ counters: TunnelCounters) {
    self.peer = peer
    sentBytes = counters.sentBytes
    receivedBytes = counters.receivedBytes
    sinceHandshakeSeconds = counters.sinceHandshake.map { $0 / .seconds(1) }
    endpoint = counters.endpoint.map { "\($0)" }
  }
}
