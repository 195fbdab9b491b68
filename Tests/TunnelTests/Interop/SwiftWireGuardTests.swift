import Foundation
import Glibc
import IorunCore
import Synchronization
import TestSupport
import Testing
import WanLink

@testable import IorunTunnel

/// Two tunnels of this process: their interfaces stand in namespaces, their sockets here.
@Suite(
  .enabled(if: Needs.tunnels == nil, "\(Needs.tunnels ?? ""): SKIPPED"), .serialized,
  .timeLimit(.minutes(4)))
struct SwiftWireGuardTests {
  private struct Pair {
    var one: SwiftWireGuard
    var other: SwiftWireGuard
    var keys: [TunnelPublicKey]
    var namespaces: NetworkNamespaces

    func isWhole(_ count: Int = 200_000) async throws -> Bool {
      try await Stream.isWhole(count, from: "a", to: "b", at: "10.8.0.2", of: namespaces)
    }
  }

  private static func local(_ port: UInt16) -> SocketAddress {
    SocketAddress(v4: 127, 0, 0, 1, port: port)
  }

  private func paired(
    threads: SwiftWireGuardBackend.Threads = .one, roams: Bool = true,
    _ body: (Pair) async throws -> Void
  ) async throws {
    try await NetworkNamespaces.with("a", "b") { namespaces in
      let keys = [try TunnelPrivateKey(), try TunnelPrivateKey()]
      let backend = SwiftWireGuardBackend(threads: threads)
      var tunnels: [SwiftWireGuard] = []
      for (index, role) in ["a", "b"].enumerated() {
        let descriptor = Glibc.open(namespaces.path(role), O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        let config = TunnelConfig(
          interfaceName: "iowg0", privateKey: keys[index],
          addresses: try [
            #require(IPPrefix("10.8.0.\(index + 1)/24")),
            #require(IPPrefix("fd08::\(index + 1)/64")),
          ])
        let device = try await backend.open(config, in: .namespace(descriptor: descriptor))
        tunnels.append(try #require(device as? SwiftWireGuard))
      }
      for (index, tunnel) in tunnels.enumerated() {
        let there = 1 - index
        try await tunnel.setPeer(
          TunnelPeer(
            publicKey: keys[there].publicKey,
            allowedIPs: try [
              #require(IPPrefix("10.8.0.\(there + 1)/32")),
              #require(IPPrefix("fd08::\(there + 1)/128")),
            ], endpoint: TunnelEndpoint(Self.local(tunnels[there].port)), roams: roams))
      }
      try await body(
        Pair(
          one: tunnels[0], other: tunnels[1], keys: try keys.map { try $0.publicKey },
          namespaces: namespaces))
      for tunnel in tunnels { await tunnel.close() }
    }
  }

  @Test("works with one thread and with two", arguments: [SwiftWireGuardBackend.Threads.one, .two])
  func threads(_ threads: SwiftWireGuardBackend.Threads) async throws {
    try await paired(threads: threads) { pair in
      #expect(try await pair.isWhole(5_000_000))
      let counters = try #require(try await pair.one.counters()[pair.keys[1]])
      #expect(counters.sentBytes > 5_000_000 && counters.sinceHandshake != nil)
      let batches = try pair.one.batches()
      #expect(batches.sentPackets > 4 * batches.sendCalls, "many packets a call: \(batches)")
    }
  }

  @Test("a program that sees only the interface cannot reach the network below")
  func isolation() async throws {
    try await paired { pair in
      #expect(try await pair.isWhole())
      let routes = try await pair.namespaces.run(in: "a", "ip", "route")
      #expect(!routes.contains("default") && routes.contains("iowg0"))
      #expect(throws: (any Error).self) {
        try Stream.datagram([1], from: "a", to: "192.0.2.1", port: 9, of: pair.namespaces)
      }
    }
  }

  @Test("packets from an address that is not the peer's are dropped")
  func spoofing() async throws {
    try await paired { pair in
      #expect(try await pair.isWhole())
      _ = try await pair.namespaces.run(
        in: "a", "ip", "address", "add", "10.8.0.9/24", "dev", "iowg0")
      let descriptor = try pair.namespaces.socket(
        in: "a", domain: AF_INET, type: Int32(SOCK_DGRAM.rawValue))
      defer { close(descriptor) }
      #expect(Stream.withAddress("10.8.0.9", 0) { Int(bind(descriptor, $0, $1)) } == 0)
      #expect(
        Stream.withAddress("10.8.0.2", 7) {
          sendto(descriptor, [UInt8](repeating: 1, count: 9), 9, 0, $0, $1)
        }
          == 9)
      try await until("the packet is dropped") { try pair.other.drops()["notAllowed"] == 1 }
    }
  }

  @Test("what is sent twice arrives once, and nothing of it can be read on the way")
  func replay() async throws {
    try await paired(roams: false) { pair in
      let forwarder = try Forwarder(between: pair.one.port, and: pair.other.port) { datagram, _ in
        [datagram, datagram]
      }
      defer { forwarder.end() }
      let way = TunnelEndpoint(Self.local(forwarder.port))
      try await pair.one.setEndpoint(way, of: pair.keys[1])
      try await pair.other.setEndpoint(way, of: pair.keys[0])
      #expect(try await pair.isWhole(300_000))
      #expect(try pair.other.drops()["replayed"] ?? 0 > 0)
      let marker = Array(Stream.pattern[1000..<1064])
      let data = forwarder.datagrams
      #expect(data.contains { $0[0] == 4 && $0.count > 1000 })
      #expect(data.allSatisfy { $0.firstRange(of: marker) == nil })
    }
  }

  @Test("what is changed on the way is dropped, and the rest goes on")
  func tampering() async throws {
    try await paired(roams: false) { pair in
      let count = Mutex(0)
      let forwarder = try Forwarder(between: pair.one.port, and: pair.other.port) { datagram, _ in
        let number = count.withLock { count -> Int in
          count += 1
          return count
        }
        guard number % 10 == 5, datagram[0] == 4 else { return [datagram] }
        var forged = datagram
        forged[datagram.count / 2] ^= 0x40
        return [forged, datagram]
      }
      defer { forwarder.end() }
      let way = TunnelEndpoint(Self.local(forwarder.port))
      try await pair.one.setEndpoint(way, of: pair.keys[1])
      try await pair.other.setEndpoint(way, of: pair.keys[0])
      #expect(try await pair.isWhole(300_000))
      #expect(try pair.other.drops()["notAuthentic"] ?? 0 > 0)
    }
  }

  @Test("a relay's header stands before each datagram, and the way is changed under a stream")
  func relay() async throws {
    try await paired { pair in
      let header = try #require(TunnelEndpoint.RelayHeader(rawValue: 0x9D00_0001_ABCD_EF01))
      let relay = try Forwarder(between: pair.one.port, and: pair.other.port) { datagram, _ in
        datagram.starts(with: [0x9D, 0, 0, 1, 0xAB, 0xCD, 0xEF, 1]) ? [datagram] : []
      }
      defer { relay.end() }
      let way = TunnelEndpoint(Self.local(relay.port), relayHeader: header)
      try await pair.one.setEndpoint(way, of: pair.keys[1])
      try await pair.other.setEndpoint(way, of: pair.keys[0])
      #expect(try await pair.isWhole(200_000))
      #expect(relay.datagrams.count > 100)
      let direct = [Self.local(pair.other.port), Self.local(pair.one.port)].map {
        TunnelEndpoint($0)
      }
      let isWhole = try await Stream.isWhole(
        4_000_000, from: "a", to: "b", at: "10.8.0.2", of: pair.namespaces
      ) {
        for round in 0..<6 {
          try await Task.sleep(for: .milliseconds(30))
          let (one, other) = round % 2 == 0 ? (direct[0], direct[1]) : (way, way)
          try await pair.one.setEndpoint(one, of: pair.keys[1])
          try await pair.other.setEndpoint(other, of: pair.keys[0])
        }
      }
      #expect(isWhole)
    }
  }

  @Test("a relay that drops, delays, mixes up, repeats and edits harms no more than a bad line")
  func hostileRelay() async throws {
    try await paired(roams: false) { pair in
      let header = try #require(TunnelEndpoint.RelayHeader(rawValue: 0x9D00_0001_ABCD_EF01))
      struct Relay {
        var dice = SeededGenerator(seed: 8)
        var held: [Bool: [[UInt8]]] = [:]
        var old: [Bool: [[UInt8]]] = [:]
      }
      let relay = Mutex(Relay())
      let forwarder = try Forwarder(between: pair.one.port, and: pair.other.port) { datagram, way in
        relay.withLock { relay in
          var out = [datagram]
          switch Int.random(in: 0..<40, using: &relay.dice) {
          case 0: out = []
          case 1:
            // Both the relay's own header and what it wraps.
            var edited = datagram
            edited[Int.random(in: 0..<edited.count, using: &relay.dice)] ^= UInt8.random(
              in: 1...255, using: &relay.dice)
            out = [edited, datagram]
          case 2...4:
            relay.held[way, default: []].append(datagram)
            out = []
          case 5, 6: out = [datagram] + (relay.old[way] ?? [])
          case 7:
            let count = Int.random(in: 0..<40, using: &relay.dice)
            out = [Array(datagram.prefix(count)), datagram]
          case 8:
            // What one end sent comes back to it.
            out = [datagram] + (relay.old[!way] ?? [])
          default: break
          }
          relay.old[way] = Array(([datagram] + (relay.old[way] ?? [])).prefix(4))
          if let late = relay.held[way], late.count > 2 {
            relay.held[way] = nil
            out += late.reversed()
          }
          return out
        }
      }
      defer { forwarder.end() }
      let way = TunnelEndpoint(Self.local(forwarder.port), relayHeader: header)
      try await pair.one.setEndpoint(way, of: pair.keys[1])
      try await pair.other.setEndpoint(way, of: pair.keys[0])
      #expect(try await pair.isWhole(600_000))
      let drops = try pair.other.drops()
      #expect(drops["replayed"] ?? 0 > 0, "\(drops)")
      #expect(drops["notAuthentic"] ?? 0 > 0, "\(drops)")
      let marker = Array(Stream.pattern[1000..<1064])
      #expect(forwarder.datagrams.allSatisfy { $0.firstRange(of: marker) == nil })
    }
  }

  @Test("an interface that someone deletes is said to be gone; the tunnel closes as ever")
  func deleted() async throws {
    try await paired { pair in
      #expect(try await pair.isWhole(10_000))
      try await pair.namespaces.run(in: "a", "ip", "link", "delete", "iowg0")
      try await until("the tunnel has noticed") { try pair.one.drops()["interfaceGone"] == 1 }
      #expect(try pair.other.drops()["interfaceGone"] == nil)
    }
  }

  @Test("datagrams that are not WireGuard's go to whoever asked for them, on the same port")
  func otherDatagrams() async throws {
    try await paired { pair in
      let came = Mutex<[([UInt8], SocketAddress)]>([])
      pair.other.onDatagram { bytes, source in came.withLock { $0.append((bytes, source)) } }
      let place = Self.local(pair.other.port)
      try pair.one.send([0x9F, 1, 2, 3], to: place, timeToLive: nil)
      try pair.one.send([0x9F, 4], to: place, timeToLive: 3)
      try pair.one.send([4, 0, 0, 0], to: place, timeToLive: nil)
      try pair.one.send([0x9D, 0, 0, 9, 0, 0, 0, 0, 7], to: place, timeToLive: nil)
      try await until("three of them came") { came.withLock { $0.count == 3 } }
      let list = came.withLock { $0 }
      #expect(list.map(\.0) == [[0x9F, 1, 2, 3], [0x9F, 4], [0x9D, 0, 0, 9, 0, 0, 0, 0, 7]])
      #expect(list.allSatisfy { $0.1 == Self.local(pair.one.port) })
      #expect(throws: IorunError.self) {
        try pair.one.send([UInt8](repeating: 9, count: 1501), to: place, timeToLive: nil)
      }
    }
  }

  @Test("a closed tunnel is gone, with its interface, and says so")
  func closing() async throws {
    try await paired { pair in
      await pair.one.close()
      await pair.one.close()
      let links = try await pair.namespaces.run(in: "a", "ip", "link")
      #expect(!links.contains("iowg0"))
      await #expect(throws: IorunError.self) { try await pair.one.counters() }
      try await pair.other.removePeer(pair.keys[0])
      #expect(try await pair.other.counters().isEmpty)
    }
  }

  @Test("a device that someone else made is taken over, as without root")
  func handOver() async throws {
    try await NetworkNamespaces.with("a") { namespaces in
      let descriptor = Glibc.open(namespaces.path("a"), O_RDONLY | O_CLOEXEC)
      defer { close(descriptor) }
      let config = TunnelConfig(
        interfaceName: "iowg7", privateKey: try TunnelPrivateKey(),
        addresses: try [#require(IPPrefix("10.8.0.1/24"))])
      let tun = try SwiftWireGuardBackend.makeInterface(config, namespace: descriptor)
      let device = try await SwiftWireGuardBackend().open(config, in: .device(descriptor: tun))
      #expect(device.interfaceName == "iowg7")
      await device.close()
      await #expect(throws: IorunError.self) {
        try await SwiftWireGuardBackend().open(config, in: .device(descriptor: -1))
      }
    }
  }

  @Test("the probe says that it works and leaves nothing behind")
  func probe() async throws {
    #expect(await SwiftWireGuardBackend().probe() == .available)
    let links = try await Programs.run(["ip", "link"])
    #expect(!links.contains("ioprobe"))
  }
}
