import Foundation
import Testing
import WanLink

extension RealProcesses {
  /// Two machines behind routers that translate addresses, 40 ms apart: with no delay the faults that
  /// two ends make by starting at once do not show.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable && Privileges.canMakeNamespaces,
      "network namespaces with NAT need root, iproute2, nftables and /dev/net/tun: SKIPPED"),
    .serialized)
  struct `Behind routers` {
    /// Kinds at `a` and `b`, and whether the two find a direct way.
    static let pairs: [(String, String, Bool)] = [
      ("none", "linux", true),
      ("linux", "linux", true),
      ("port-restricted", "carrier", true),
      ("full-cone", "symmetric", true),
      ("address-restricted", "symmetric", true),
      ("port-restricted", "symmetric", true),
      ("linux", "same-home", true),
      ("hairpin", "same-home", true),
      ("isolated", "same-home", false),
      ("symmetric", "symmetric", false),
      ("udp-blocked", "none", false),
    ]

    @Test(.timeLimit(.minutes(3)), arguments: pairs)
    func `a machine finds the best way to a node that there is`(
      _ a: String, _ b: String, _ isDirect: Bool
    ) async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: a, b: b) { world in
          try await world.startHead()
          try await world.join("b")
          let ping = try await world.iorun(
            "ping", "b", "--head", "-", "--until-direct", "--json", "--timeout",
            isDirect ? "25" : "5", in: "a", input: try await world.ticket("operator"))
          let ways = try ping.lines.compactMap { line in
            (try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["way"]
              as? String
          }
          if isDirect {
            #expect(ping.status == 0, "\(ping)")
            #expect(ways.last == "direct", "\(ping)")
          } else {
            #expect(ping.status == 7, "\(ping)")
            #expect(ways.last == "relay", "\(ping)")
          }
        }
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `netcheck tells the kind of a router, and whether UDP is blocked`() async throws {
      for (kind, nat, udp) in [
        ("symmetric", "symmetric", true), ("udp-blocked", "udp_blocked", false),
      ] {
        try await TestNetwork.with(nodes: 0) { network in
          try await NATWorld.with(network, a: kind, b: "none") { world in
            try await world.startHead()
            let check = try await world.iorun(
              "netcheck", "--json", "--head", "-", in: "a", input: try await world.ticket("buyer"))
            try #require(check.status == 0, "\(check)")
            let found = try check.json()
            #expect(found["nat"] as? String == nat, "\(check)")
            #expect(found["udp"] as? Bool == udp, "\(check)")
            let relay = (found["relays"] as? [[String: Any]])?.first
            #expect(relay?["tcp_connects"] as? Bool == true, "\(check)")
            if udp { #expect(found["mtu_bytes"] as? Int == 1500, "\(check)") }
          }
        }
      }
    }

    @Test(
      .timeLimit(.minutes(4)), arguments: [("full-cone", "symmetric"), ("udp-blocked", "linux")])
    func `ranks behind two routers call each other's actors`(
      _ a: String, _ b: String
    ) async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: a, b: b) { world in
          try await world.startHead()
          for place in ["a", "b"] { try await world.join(place, cpus: 1) }
          let spec = try network.writeDigitsJob(epochs: 2)
          let submit = try await world.iorun("submit", spec, in: "head", within: .seconds(100))
          #expect(submit.status == 0, "\(submit)")
          #expect(submit.errors.contains("2 ranks on 2 nodes"), "\(submit)")
          #expect(submit.lines.last?.contains("2 ranks, which agree") == true, "\(submit)")
        }
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `a buyer without a rank on a node hears nothing of where it is`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: "none", b: "none") { world in
          try await world.startHead()
          try await world.join("b")
          let ping = try await world.iorun(
            "ping", "b", "--head", "-", "--until-direct", in: "a",
            input: try await world.ticket("buyer"))
          #expect(ping.status != 0, "\(ping)")
          #expect(ping.errors.contains("IOR-1005"), "\(ping)")
          #expect(!ping.output.contains("203.0.113"), "\(ping)")
        }
      }
    }
  }
}
