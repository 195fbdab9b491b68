import Foundation
import Testing
import WanLink

extension RealProcesses {
  /// Two agents behind two different routers, where TCP reaches neither, and a head in public.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable && Privileges.canMakeNamespaces,
      "network namespaces with NAT need root, iproute2, nftables and /dev/net/tun: SKIPPED"),
    .serialized)
  struct `Sessions of agents behind routers` {
    /// What an object of `far-objects` has at least: half a million numbers.
    private static let objectBytes = 500_000 * 8

    /// Joins both machines and has a program take objects from one of them on the other, each of
    /// which it checks; returns when the first one is there.
    private static func beginTransfer(
      _ network: TestNetwork, _ world: NATWorld
    ) async throws -> RunningCommand {
      for place in ["a", "b"] { try await world.join(place, cpus: 2, owner: "us") }
      try network.write("here", to: "work/marker")
      let submit = try world.start(
        [
          "submit", "--swift-product", "cluster-program", "--working-dir", network.root + "/work",
          "--", "far-objects",
        ], in: "head")
      try await submit.prints("at 1")
      return submit
    }

    /// The ways of the agents' sessions to each other, as `iorun status` shows them to the operator:
    /// `direct`, the host of the relay, or `head`.
    private static func ways(_ world: NATWorld) async throws -> [String] {
      let status = try await world.iorun("status", "--json", in: "head").json()
      let nodes = status["paths"] as? [[String: Any]] ?? []
      return nodes.flatMap { $0["paths"] as? [[String: Any]] ?? [] }
        .filter { $0["purpose"] as? String == "session" }
        .map { path in
          guard path["way"] as? String == "relay" else { return "\(path["way"] ?? "none")" }
          return (path["address"] as? String).map { String($0.prefix { $0 != ":" }) } ?? "head"
        }
    }

    private static func eventually(
      _ way: String, _ world: NATWorld, _ submit: RunningCommand, within limit: Duration
    ) async throws {
      try await EndToEnd.eventually("both sessions go by: \(way)", within: limit) {
        try await ways(world) == [way, way]
      } detail: {
        "\((try? await ways(world)) ?? []) \(submit.output.suffix(200)) \(submit.errors.suffix(300))"
      }
    }

    /// Waits for so many more objects.
    private static func more(
      _ count: Int, _ submit: RunningCommand, within limit: Duration = .seconds(60)
    ) async throws {
      let before = last(submit)
      try await EndToEnd.eventually("\(count) objects more arrive", within: limit) {
        last(submit) >= before + count
      } detail: {
        "\(submit.output.suffix(200)) \(submit.errors.suffix(300))"
      }
    }

    /// Objects arrive, of which the head sees but a small part.
    private static func passTheHeadBy(_ world: NATWorld, _ submit: RunningCommand) async throws {
      let (bytes, number) = (try await world.bytesAtHead(), last(submit))
      try await more(6, submit)
      let carried = (last(submit) - number) * objectBytes
      let byHead = try await world.bytesAtHead() - bytes
      print("of \(carried) bytes \(byHead) passed the head")
      #expect(byHead < carried / 4)
    }

    private static func last(_ command: RunningCommand) -> Int {
      command.output.split(separator: "\n").reversed().lazy
        .compactMap { $0.hasPrefix("at ") ? Int($0.dropFirst(3)) : nil }.first ?? 0
    }

    /// Ends the program; all that it got was as it should be.
    private static func finish(_ network: TestNetwork, _ submit: RunningCommand) async throws {
      let found =
        FileManager.default.enumerator(atPath: network.root)?.compactMap { $0 as? String } ?? []
      for path in found where path.contains("node-") && path.hasSuffix("/marker") {
        let folder = URL(fileURLWithPath: network.root + "/" + path).deletingLastPathComponent()
        try Data().write(to: folder.appendingPathComponent("stop"))
      }
      let result = try await submit.finish(within: .seconds(60))
      #expect(result.status == 0, "\(result)")
      #expect(result.output.contains("ok far-objects"), "\(result)")
    }

    @Test(.timeLimit(.minutes(4)))
    func `go straight, and by the relay while that is cut, and objects arrive whole`() async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: "linux", b: "linux") { world in
          try await world.startHead()
          let submit = try await Self.beginTransfer(network, world)
          try await Self.eventually("direct", world, submit, within: .seconds(90))
          try await Self.passTheHeadBy(world, submit)

          // In the middle of an object, as one follows the other.
          try await world.cut()
          try await Self.more(2, submit)
          try await Self.eventually("192.0.2.2", world, submit, within: .seconds(60))
          try await Self.more(3, submit)
          try await world.mend()
          try await Self.eventually("direct", world, submit, within: .seconds(90))
          try await Self.more(3, submit)
          try await Self.finish(network, submit)
        }
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `go straight in the end where one port has to be guessed`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: "symmetric", b: "linux") { world in
          try await world.startHead()
          let submit = try await Self.beginTransfer(network, world)
          // By the relay until a guess meets an open port.
          try await Self.eventually("direct", world, submit, within: .seconds(75))
          try await Self.more(3, submit)
          try await Self.finish(network, submit)
        }
      }
    }

    @Test(
      .timeLimit(.minutes(4)), arguments: [("symmetric", "symmetric"), ("udp-blocked", "linux")])
    func `go by a relay where there is no straight way`(_ a: String, _ b: String) async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: a, b: b) { world in
          try await world.startHead()
          let submit = try await Self.beginTransfer(network, world)
          // By TCP the relay is reached at an address of the machine's own.
          let relay = a == "udp-blocked" ? "127.0.0.1" : "192.0.2.2"
          try await EndToEnd.eventually("both go by the relay", within: .seconds(90)) {
            try await Self.ways(world).sorted() == [relay, "192.0.2.2"].sorted()
          } detail: {
            "\((try? await Self.ways(world)) ?? []) \(submit.errors.suffix(300))"
          }
          try await Self.more(3, submit)
          try await Self.finish(network, submit)
        }
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `go by a relay of its own process, and past the head`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await NATWorld.with(network, a: "symmetric", b: "symmetric") { world in
          try await world.startHead()
          let relay = try await world.startRelay()
          // The head's own relay answers nobody: the other one is on the shortest way there is.
          try await world.silenceHeadsRelay(true)
          let submit = try await Self.beginTransfer(network, world)
          try await Self.eventually("192.0.2.1", world, submit, within: .seconds(90))
          try await Self.passTheHeadBy(world, submit)
          // Without it the head carries the sessions, until there is a relay again.
          relay.signal(SIGKILL)
          try await Self.more(3, submit)
          try await Self.finish(network, submit)
        }
      }
    }
  }
}
