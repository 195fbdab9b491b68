import Foundation
import Glibc
import IorunCore
import Testing
import WanLink

@testable import IorunTunnel

/// Our WireGuard and Debian's, each in a namespace of its own, on one wire.
@Suite(
  .enabled(if: Needs.debianWireGuard == nil, "\(Needs.debianWireGuard ?? ""): SKIPPED"),
  .serialized, .timeLimit(.minutes(2)))
struct InteropTests {
  /// Two ends on a wire; the first one knows where the other is, and so begins.
  private func joined(
    _ first: Implementation, _ second: Implementation, bothKnow: Bool = false,
    _ body: (End, End, NetworkNamespaces) async throws -> Void
  ) async throws {
    try await NetworkNamespaces.with("a", "b") { namespaces in
      try await namespaces.joinByWire("a", address: "10.9.0.1/24", to: "b", address: "10.9.0.2/24")
      let one = try End(first, 1, in: "a", of: namespaces)
      let other = try End(second, 2, in: "b", of: namespaces)
      defer {
        one.end()
        other.end()
      }
      let psk = try TunnelPresharedKey()
      try await other.start(peer: one, at: bothKnow ? "10.9.0.1:51820" : nil, psk: psk)
      try await one.start(peer: other, at: "10.9.0.2:51820", psk: psk)
      try await body(one, other, namespaces)
    }
  }

  @Test(
    "whoever begins, data goes both ways, in IPv4 and IPv6",
    arguments: zip([Implementation.ours, .debian, .ours], [Implementation.debian, .ours, .ours]))
  func data(_ first: Implementation, _ second: Implementation) async throws {
    try await joined(first, second) { one, other, namespaces in
      for (host, sender, receiver) in [
        ("10.8.0.2", "a", "b"), ("10.8.0.1", "b", "a"), ("fd08::2", "a", "b"),
        ("fd08::1", "b", "a"),
      ] {
        let isWhole = try await Stream.isWhole(
          1_000_000, from: sender, to: receiver, at: host, of: namespaces)
        #expect(isWhole, "\(host)")
      }
      #expect(try await one.sinceHandshake() != nil)
      #expect(try await other.sinceHandshake() != nil)
      #expect(try await other.endpoint() == "10.9.0.1:51820", "learnt from the first message")
    }
  }

  @Test(
    "keys are renewed under load, by either side, and no byte is lost",
    arguments: [Implementation.ours, .debian])
  func renewal(_ second: Implementation) async throws {
    try await joined(.ours, second, bothKnow: true) { one, other, namespaces in
      let key = try other.key.publicKey.description
      let isWhole = try await Stream.isWhole(
        8_000_000, from: "a", to: "b", at: "10.8.0.2", of: namespaces
      ) {
        for _ in 0..<5 {
          try await Task.sleep(for: .milliseconds(20))
          try await one.ask("renew \(key)")
          if second == .ours {
            try await other.ask("renew \(try one.key.publicKey.description)")
          }
        }
      }
      #expect(isWhole)
      try await until("the last handshake is done") {
        try await one.sinceHandshake().map { $0 < 15 } ?? false
      }
    }
  }

  @Test(
    "a flood of handshakes does not keep a peer out: it proves its address",
    arguments: zip([Implementation.debian, .ours], [Implementation.ours, .debian]))
  func flood(_ first: Implementation, _ second: Implementation) async throws {
    try await joined(first, second) { one, other, namespaces in
      // A stranger's initiations: their first code is right, so that they cost the other end work.
      let stranger = try WireGuardMachineFlood(to: try other.key.publicKey)
      let descriptor = try namespaces.socket(
        in: "a", domain: AF_INET, type: Int32(SOCK_DGRAM.rawValue))
      async let cookies = stranger.run(on: descriptor, to: "10.9.0.2", seconds: 4)
      try await Task.sleep(for: .milliseconds(500))
      let isWhole = try await Stream.isWhole(
        10_000, from: "a", to: "b", at: "10.8.0.2", of: namespaces)
      #expect(isWhole)
      let answers = try await cookies
      if second == .ours { #expect(answers > 0, "the stranger was asked for a proof") }
      #expect(try await one.sinceHandshake() != nil)
    }
  }

  @Test(
    "an end that moves to another address is followed", arguments: [Implementation.ours, .debian])
  func roaming(_ second: Implementation) async throws {
    try await joined(.ours, second) { one, other, namespaces in
      #expect(
        try await Stream.isWhole(100_000, from: "a", to: "b", at: "10.8.0.2", of: namespaces))
      try await one.run(["ip", "address", "add", "10.9.0.77/24", "dev", "eth-b"])
      try await one.run(["ip", "address", "delete", "10.9.0.1/24", "dev", "eth-b"])
      try await one.run(["ip", "address", "replace", "10.9.0.77/24", "dev", "eth-b"])
      #expect(
        try await Stream.isWhole(100_000, from: "a", to: "b", at: "10.8.0.2", of: namespaces))
      #expect(try await other.endpoint() == "10.9.0.77:51820")
      #expect(
        try await Stream.isWhole(100_000, from: "b", to: "a", at: "10.8.0.1", of: namespaces))
    }
  }
}

/// A stranger who begins handshake after handshake, all of them well-formed.
struct WireGuardMachineFlood {
  private let initiation: [UInt8]

  init(to key: TunnelPublicKey) throws {
    var machine = try WireGuardMachine(key: try TunnelPrivateKey())
    try machine.set(TunnelPeer(publicKey: key, allowedIPs: []), number: 0)
    let actions = machine.wantKey(0, now: .seconds(1), wallClock: .seconds(1_800_000_000))
    guard case .send(let bytes, _)? = actions.first else { throw Stream.Failed("no initiation") }
    initiation = bytes
  }

  /// Sends for some seconds; how many cookies came back.
  func run(on descriptor: Int32, to host: String, seconds: Int) async throws -> Int {
    let initiation = initiation
    return try await Stream.blocking {
      defer { close(descriptor) }
      let deadline = ContinuousClock.now + .seconds(seconds)
      var cookies = 0
      var buffer = [UInt8](repeating: 0, count: 256)
      while ContinuousClock.now < deadline {
        for _ in 0..<64 {
          _ = Stream.withAddress(host, 51820) {
            sendto(descriptor, initiation, initiation.count, 0, $0, $1)
          }
        }
        while recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) == 64 {
          if buffer[0] == 3 { cookies += 1 }
        }
        usleep(1000)
      }
      return cookies
    }
  }
}
