import Foundation
import Testing
import WanLink

extension RealProcesses {
  /// A gang whose two nodes are behind two different routers, and a head in public.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable && Privileges.canMakeNamespaces,
      "network namespaces with NAT need root, iproute2, nftables and /dev/net/tun: SKIPPED"),
    .serialized)
  struct `A gang behind routers` {
    /// Rank 1 sends numbered blocks to rank 0 through the tunnel until a file `stop` is there, then
    /// says how many; rank 0 counts those that came in order, and both must agree.
    private static let transfer = """
      import os, socket, struct, time
      rank, port = int(os.environ["RANK"]), int(os.environ["MASTER_PORT"])
      block = b"x" * 8192
      if rank == 0:
          server = socket.create_server((os.environ["MASTER_ADDR"], port))
          stream = server.accept()[0].makefile("rb")
          expected = 0
          while True:
              head = stream.read(8)
              number, = struct.unpack("!q", head)
              if number < 0:
                  assert -number - 1 == expected, (number, expected)
                  print("got", expected, flush=True)
                  break
              assert number == expected, (number, expected)
              assert stream.read(len(block)) == block
              expected += 1
              if expected % 50 == 0: print("at", expected, flush=True)
      else:
          while True:
              try:
                  link = socket.create_connection((os.environ["MASTER_ADDR"], port), 5)
                  break
              except OSError:
                  time.sleep(0.1)
          number = 0
          link.settimeout(60)
          while not os.path.exists("stop"):
              link.sendall(struct.pack("!q", number) + block)
              number += 1
              time.sleep(0.005)
          link.sendall(struct.pack("!q", -number - 1))
          print("sent", number, flush=True)
      """

    /// Joins both machines and starts the transfer between them; returns when it is under way.
    private static func beginTransfer(
      _ network: TestNetwork, _ world: NATWorld
    ) async throws -> RunningCommand {
      try await world.join("a", cpus: 1)
      try await world.join("b", cpus: 1)
      try network.write(transfer, to: "work/transfer.py")
      let submit = try world.start(
        [
          "submit", "--ranks", "2", "--cpus", "1", "--network", "gang", "--working-dir",
          network.root + "/work", "--", "python3", "transfer.py",
        ], in: "head")
      try await submit.prints("at 50")
      return submit
    }

    /// What rank 1 says that it sent is what rank 0 says that it got.
    private static func expectNothingLost(_ result: CommandResult) {
      let got = result.lines.first { $0.contains("got") }?.split(separator: " ").last
      let sent = result.lines.first { $0.contains("sent") }?.split(separator: " ").last
      #expect(got != nil && got == sent, "\(result)")
    }

    /// The way of node `a`'s tunnel to `b`, as `iorun status` shows it to the operator.
    private static func ways(_ world: NATWorld) async throws -> Set<String> {
      let status = try await world.iorun("status", "--json", in: "head").json()
      let nodes = status["paths"] as? [[String: Any]] ?? []
      let paths = nodes.flatMap { $0["paths"] as? [[String: Any]] ?? [] }
      return Set(
        paths.filter { ($0["purpose"] as? String ?? "").hasPrefix("job-") }
          .compactMap { $0["way"] as? String })
    }

    @Test(.timeLimit(.minutes(3)))
    func `goes direct, falls back to the relay when that is cut, comes back, and loses nothing`()
      async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: "full-cone", b: "symmetric") { world in
          try await world.startHead()
          let submit = try await Self.beginTransfer(network, world)
          try await eventually("the tunnel is direct at both ends", within: .seconds(40)) {
            try await Self.ways(world) == ["direct"]
          } detail: {
            "\(submit.output.suffix(300)) \(submit.errors.suffix(300))"
          }
          try await world.cut()
          try await eventually("both ends are on the relay", within: .seconds(30)) {
            try await Self.ways(world) == ["relay"]
          }
          let cutAt = Self.last(submit)
          try await eventually("the transfer goes on") { Self.last(submit) > cutAt + 100 }
          try await world.mend()
          try await eventually("both ends are direct again", within: .seconds(60)) {
            try await Self.ways(world) == ["direct"]
          }
          try Self.stop(network)
          let result = try await submit.finish(within: .seconds(40))
          #expect(result.status == 0, "\(result)")
          Self.expectNothingLost(result)
        }
      }
    }

    @Test(
      .timeLimit(.minutes(4)), arguments: [("symmetric", "symmetric"), ("udp-blocked", "linux")])
    func `works through the relay where there is no direct way`(_ a: String, _ b: String)
      async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: a, b: b) { world in
          try await world.startHead()
          let submit = try await Self.beginTransfer(network, world)
          try await eventually("both ends say so", within: .seconds(30)) {
            try await Self.ways(world) == ["relay"]
          }
          try Self.stop(network)
          let result = try await submit.finish(within: .seconds(40))
          #expect(result.status == 0, "\(result)")
        }
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `stays together when a node gets another address, and loses nothing`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: "linux", b: "linux") { world in
          try await world.startHead()
          let submit = try await Self.beginTransfer(network, world)
          try await eventually("the tunnel is direct at both ends", within: .seconds(40)) {
            try await Self.ways(world) == ["direct"]
          }
          try await world.moveA()
          let movedAt = Self.last(submit)
          try await eventually("the transfer goes on", within: .seconds(60)) {
            Self.last(submit) > movedAt + 200
          } detail: {
            "\(submit.output.suffix(300)) \(submit.errors.suffix(300))"
          }
          // By the relay: the router still keeps the old address's mappings, for some minutes.
          try await eventually("both ends have a way") {
            try await Self.ways(world).isSubset(of: ["direct", "relay"])
          }
          try Self.stop(network)
          let result = try await submit.finish(within: .seconds(60))
          #expect(result.status == 0, "\(result)")
          Self.expectNothingLost(result)
        }
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `is carried by a relay of its own process, and by another when that is killed`()
      async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: "symmetric", b: "symmetric") { world in
          try await world.startHead()
          let relay = try await world.startRelay()
          // The head's own relay answers nobody: the other one is on the shortest way there is.
          try await world.silenceHeadsRelay(true)
          let submit = try await Self.beginTransfer(network, world)
          try await eventually("both ends are on that relay", within: .seconds(30)) {
            try await Self.relays(world) == ["192.0.2.1"]
          }
          try await world.silenceHeadsRelay(false)
          relay.signal(SIGKILL)
          try await eventually("both ends are on the head's", within: .seconds(90)) {
            try await Self.relays(world) == ["192.0.2.2"]
          }
          let movedAt = Self.last(submit)
          try await eventually("the transfer goes on") { Self.last(submit) > movedAt + 100 }
          try Self.stop(network)
          let result = try await submit.finish(within: .seconds(40))
          #expect(result.status == 0, "\(result)")
        }
      }
    }

    /// The addresses of the relays that the gang's ways go by; "direct" for one that needs none.
    private static func relays(_ world: NATWorld) async throws -> Set<String> {
      let status = try await world.iorun("status", "--json", in: "head").json()
      let nodes = status["paths"] as? [[String: Any]] ?? []
      let paths = nodes.flatMap { $0["paths"] as? [[String: Any]] ?? [] }
      return Set(
        paths.filter { ($0["purpose"] as? String ?? "").hasPrefix("job-") }.map { path in
          guard path["way"] as? String == "relay" else { return "\(path["way"] ?? "none")" }
          return String((path["address"] as? String ?? "").prefix { $0 != ":" })
        })
    }

    /// The last number that rank 0 has printed.
    private static func last(_ command: RunningCommand) -> Int {
      command.output.split(separator: "\n").reversed().lazy
        .compactMap { line in
          line.contains("at ") ? Int(line.split(separator: " ").last ?? "") : nil
        }
        .first ?? 0
    }

    /// Puts a file `stop` into every rank's folder.
    private static func stop(_ network: TestNetwork) throws {
      let files = FileManager.default
      let found = files.enumerator(atPath: network.root)?.compactMap { $0 as? String } ?? []
      for path in found where path.contains("node-") && path.hasSuffix("/transfer.py") {
        let folder = URL(fileURLWithPath: network.root + "/" + path).deletingLastPathComponent()
        try Data().write(to: folder.appendingPathComponent("stop"))
      }
    }
  }
}
