import Foundation
import Glibc
import IorunCore
import Testing
import WanLink

@testable import IorunTunnel

/// Ways between two ends that are not a plain IPv4 wire of 1500 bytes.
@Suite(
  .enabled(if: Needs.debianWireGuard == nil, "\(Needs.debianWireGuard ?? ""): SKIPPED"),
  .serialized, .timeLimit(.minutes(2)))
struct HardWaysTests {
  /// Two ends, each with its peer's place on the wire.
  private func ends(
    _ second: Implementation, _ place: String, _ otherPlace: String,
    of namespaces: NetworkNamespaces, _ body: (End, End) async throws -> Void
  ) async throws {
    let one = try End(.ours, 1, in: "a", of: namespaces)
    let other = try End(second, 2, in: "b", of: namespaces)
    defer {
      one.end()
      other.end()
    }
    let psk = try TunnelPresharedKey()
    try await other.start(peer: one, at: place, psk: psk)
    try await one.start(peer: other, at: otherPlace, psk: psk)
    try await body(one, other)
  }

  @Test(
    "a router on the way takes smaller datagrams, and may not even say so",
    arguments: [1280, 1400], [true, false])
  func smallPath(_ bytes: Int, _ saysSo: Bool) async throws {
    try await NetworkNamespaces.with("a", "r", "b") { namespaces in
      try await namespaces.joinByWire(
        "a", address: "10.9.0.1/24", to: "r", address: "10.9.0.254/24")
      try await namespaces.joinByWire(
        "r", address: "10.9.1.254/24", to: "b", address: "10.9.1.2/24")
      try await namespaces.run(in: "r", "sysctl", "-qw", "net.ipv4.ip_forward=1")
      for (role, device) in [("r", "eth-b"), ("b", "eth-r")] {
        try await namespaces.run(in: role, "ip", "link", "set", device, "mtu", "\(bytes)")
      }
      try await namespaces.run(in: "a", "ip", "route", "add", "10.9.1.0/24", "via", "10.9.0.254")
      try await namespaces.run(in: "b", "ip", "route", "add", "10.9.0.0/24", "via", "10.9.1.254")
      if !saysSo {
        // The router's word, "fragmentation needed", has no way back.
        try await namespaces.run(
          in: "r", "nft",
          "table ip silent { chain out { type filter hook output priority 0; "
            + "ip protocol icmp drop; }; }")
      }
      try await ends(.ours, "10.9.0.1:51820", "10.9.1.2:51820", of: namespaces) { _, _ in
        for (sender, receiver, host) in [("a", "b", "10.8.0.2"), ("b", "a", "10.8.0.1")] {
          let isWhole = try await Stream.isWhole(
            400_000, from: sender, to: receiver, at: host, of: namespaces)
          #expect(isWhole, "\(host)")
        }
      }
    }
  }

  @Test("the wire speaks IPv6 alone", arguments: [Implementation.ours, .debian])
  func six(_ second: Implementation) async throws {
    try await NetworkNamespaces.with("a", "b") { namespaces in
      for role in ["a", "b"] {
        // An address may else not be used for a second or two.
        try await namespaces.run(
          in: role, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0",
          "net.ipv6.conf.default.dad_transmits=0")
      }
      try await namespaces.joinByWire("a", address: "fd09::1/64", to: "b", address: "fd09::2/64")
      try await ends(second, "[fd09::1]:51820", "[fd09::2]:51820", of: namespaces) { one, other in
        for (sender, receiver, host) in [("a", "b", "10.8.0.2"), ("b", "a", "fd08::1")] {
          let isWhole = try await Stream.isWhole(
            1_000_000, from: sender, to: receiver, at: host, of: namespaces)
          #expect(isWhole, "\(host)")
        }
        #expect(try await one.endpoint().hasPrefix("[fd09:"))
        #expect(try await other.sinceHandshake() != nil)
      }
    }
  }

  @Test(
    "an end's address changes again and again under a stream, and no byte is lost",
    arguments: [Implementation.ours, .debian])
  func roaming(_ second: Implementation) async throws {
    try await NetworkNamespaces.with("a", "b") { namespaces in
      try await namespaces.joinByWire("a", address: "10.9.0.1/24", to: "b", address: "10.9.0.2/24")
      try await ends(second, "10.9.0.1:51820", "10.9.0.2:51820", of: namespaces) { one, other in
        let isWhole = try await Stream.isWhole(
          30_000_000, from: "a", to: "b", at: "10.8.0.2", of: namespaces
        ) {
          var before = "10.9.0.1/24"
          for number in 71...73 {
            let next = "10.9.0.\(number)/24"
            try await one.run(["ip", "address", "add", next, "dev", "eth-b"])
            try await one.run(["ip", "address", "delete", before, "dev", "eth-b"])
            // The kernel takes the others of a network along with its first address.
            try await one.run(["ip", "address", "replace", next, "dev", "eth-b"])
            before = next
          }
        }
        #expect(isWhole)
        // The new place is learnt from the next packet.
        #expect(
          try await Stream.isWhole(10_000, from: "a", to: "b", at: "10.8.0.2", of: namespaces))
        #expect(try await other.endpoint() == "10.9.0.73:51820")
      }
    }
  }
}
