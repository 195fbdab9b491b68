import Foundation
import Testing
import WanLink

/// A small internet of network namespaces: machine `a` and machine `b` behind routers of given kinds,
/// a head in between, with an emulated link of some delay on the way (`scripts/nat-world.sh`).
struct NATWorld {
  private let network: TestNetwork
  private let prefix: String

  /// Makes it, runs a test in it, and removes it, however the test ends.
  static func with(
    _ network: TestNetwork, a: String, b: String, roundTrip: Duration = .milliseconds(40),
    _ body: (NATWorld) async throws -> Void
  ) async throws {
    let world = NATWorld(network: network, prefix: "in" + network.root.suffix(6))
    let result: Result<Void, any Error>
    do {
      try await world.script("up", a, b)
      try await WanLinkProcess.with(
        between: world.name("r1"), and: world.name("r2"),
        settings: LinkSettings(roundTrip: roundTrip)
      ) {
        try await world.script("routes", WanLinkProcess.addresses.a, WanLinkProcess.addresses.b)
        try await body(world)
      }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    ProcessScan.killAll(network.root)
    try? await world.script("down")
    try result.get()
  }

  /// Drops UDP between `a` and `b`, or no longer.
  func cut() async throws { try await script("cut") }
  func mend() async throws { try await script("mend") }

  /// Gives `a`, behind a router, another address in place of its own, as the router's new lease does.
  func moveA() async throws {
    let place = name("a")
    let result = try await RunningCommand(
      "/usr/bin/env",
      [
        "sh", "-ec",
        """
        ip -n \(place) addr del 192.168.1.2/24 dev eth0
        ip -n \(place) addr add 192.168.1.77/24 dev eth0
        ip -n \(place) route replace default via 192.168.1.1
        """,
      ], scratch: network.root + "/commands"
    ).finish(within: .seconds(20))
    try #require(result.status == 0, "\(result)")
  }

  /// Starts iorun on one of the machines, with a state folder of its own.
  func start(
    _ arguments: [String], in place: String, state: String? = nil, input: String? = nil
  ) throws -> RunningCommand {
    try RunningCommand(
      "/usr/bin/env", ["ip", "netns", "exec", name(place), Binaries.iorun] + arguments,
      scratch: network.root + "/commands",
      environment: ["IORUN_STATE_DIR": "\(network.root)/\(state ?? place)"], input: input,
      directory: network.root)
  }

  /// Runs iorun on one of the machines to its end.
  func iorun(
    _ arguments: String..., in place: String, input: String? = nil,
    within limit: Duration = .seconds(40)
  ) async throws -> CommandResult {
    try await start(arguments, in: place, input: input).finish(within: limit)
  }

  /// Starts the head, whose address is the same in every world.
  func startHead() async throws {
    let head = try start(
      ["head", "--listen", "192.0.2.2:7070", "--verification", "off"], in: "head")
    try await head.prints("tickets name 192.0.2.2:7070")
  }

  /// Drops what is for the head's own relay, UDP and the TCP port beside it, or no longer.
  func silenceHeadsRelay(_ isSilent: Bool) async throws {
    let rules =
      isSilent
      ? """
      add table inet quiet; add chain inet quiet in { type filter hook input priority 0; }
      add rule inet quiet in meta l4proto udp drop
      """ : "delete table inet quiet"
    let result = try await RunningCommand(
      "/usr/bin/env", ["ip", "netns", "exec", name("head"), "nft", rules],
      scratch: network.root + "/commands"
    ).finish(within: .seconds(20))
    try #require(result.status == 0, "\(result)")
  }

  /// Starts a relay on the router in the middle, whose addresses all reach.
  func startRelay() async throws -> RunningCommand {
    let relay = try start(
      ["relay", "--head", "-", "--name", "middle", "--advertise", "192.0.2.1"], in: "r2",
      state: "relay", input: try await ticket("supplier"))
    try await eventually("nodes are told of the relay") {
      let check = try await iorun("netcheck", "--json", in: "head").json()
      let relays = check["relays"] as? [[String: Any]] ?? []
      return relays.contains {
        $0["name"] as? String == "middle" && $0["round_trip_milliseconds"] is Double
      }
    } detail: {
      relay.errors
    }
    return relay
  }

  /// A ticket of a role; `owner`: whose its holder is.
  func ticket(_ role: String, owner: String? = nil) async throws -> String {
    let flags = owner.map { ["--owner", $0] } ?? []
    let result = try await start(
      ["ticket", "create", "--role", role] + flags, in: "head"
    ).finish(within: .seconds(40))
    return try #require(result.lines.last, "\(result)")
  }

  /// Joins a machine as a node of its own name, and waits until the head knows where it is.
  func join(_ place: String, cpus: Int = 4, owner: String? = nil) async throws {
    let node = try start(
      ["join", "-", "--name", place, "--cpus", "\(cpus)"], in: place, state: "node-\(place)",
      input: try await ticket("supplier", owner: owner))
    try await eventually("\(place) has said where it is") {
      let status = try await iorun("status", "--json", in: "head").json()
      let known = (status["paths"] as? [[String: Any]] ?? []).filter {
        ($0["nat"] as? String ?? "unknown") != "unknown"
      }
      let nodes = try await iorun("nodes", "--json", in: "head").json()["nodes"]
      let id = (nodes as? [[String: Any]] ?? []).first { $0["name"] as? String == place }?["id"]
      return known.contains { $0["node"] as? String == id as? String && id != nil }
    } detail: {
      node.errors
    }
  }

  /// How many bytes have passed the head's wire, both ways.
  func bytesAtHead() async throws -> Int {
    let result = try await RunningCommand(
      "/usr/bin/env", ["ip", "-n", name("head"), "-s", "-j", "link", "show", "dev", "eth0"],
      scratch: network.root + "/commands"
    ).finish(within: .seconds(20))
    let links = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]]
    let counters = try #require(links?.first?["stats64"] as? [String: [String: Any]], "\(result)")
    let counts = ["rx", "tx"].compactMap { counters[$0]?["bytes"] as? Int }
    try #require(counts.count == 2, "\(result)")
    return counts[0] + counts[1]
  }

  private func name(_ place: String) -> String { "\(prefix)-\(place)" }

  private func script(_ arguments: String...) async throws {
    let command = try RunningCommand(
      Binaries.package + "/scripts/nat-world.sh",
      [arguments[0], prefix] + arguments.dropFirst(), scratch: network.root + "/commands",
      environment: ["NO_CORE": "1"])
    let result = try await command.finish(within: .seconds(30))
    try #require(result.status == 0, "\(result)")
  }
}
