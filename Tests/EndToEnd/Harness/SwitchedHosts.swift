import Foundation
import Glibc
import Testing
import WanLink

/// A head and several hosts on one switch, each in a network namespace; nodes run on some of them.
struct SwitchedHosts: Sendable {
  let network: TestNetwork
  let namespaces: NetworkNamespaces
  /// True where the hosts have IPv6 addresses and no others.
  let isV6: Bool
  /// The hosts, in the order of their addresses. The first one is the head's.
  static let hosts = ["head", "a", "b", "c", "stranger"]
  static let port = 7070

  /// Makes the hosts, starts the head, runs `body`, and removes everything.
  static func with(
    isV6: Bool = false, _ body: (SwitchedHosts) async throws -> Void
  ) async throws {
    try await TestNetwork.with(nodes: 0) { network in
      try await NetworkNamespaces.with("switch", "head", "a", "b", "c", "stranger") { namespaces in
        try await namespaces.joinBySwitch(hosts, hub: "switch", subnet: "10.214.7")
        let world = SwitchedHosts(network: network, namespaces: namespaces, isV6: isV6)
        if isV6 { try await world.giveV6Addresses() }
        let address = isV6 ? "[\(v6Address("head"))]:\(port)" : "\(address("head")):\(port)"
        let head = try world.start(
          ["head", "--listen", isV6 ? address : "0.0.0.0:\(port)", "--verification", "off"],
          in: "head", state: "head")
        try await head.prints("tickets name \(address)")
        try await body(world)
      }
    }
  }

  /// A host's address on the switch.
  static func address(_ host: String) -> String {
    "10.214.7.\((hosts.firstIndex(of: host) ?? 0) + 1)"
  }

  /// A host's address on the switch where there is no IPv4.
  static func v6Address(_ host: String) -> String {
    "fd42:214:7::\((hosts.firstIndex(of: host) ?? 0) + 1)"
  }

  private func giveV6Addresses() async throws {
    for host in Self.hosts {
      try await namespaces.run(in: host, "ip", "-4", "address", "flush", "dev", "eth-switch")
      try await namespaces.run(
        in: host, "ip", "-6", "address", "add", Self.v6Address(host) + "/64", "dev", "eth-switch",
        "nodad")
    }
  }

  /// Starts iorun on a host, with a state folder of that name.
  func start(
    _ arguments: [String], in host: String, state: String, input: String? = nil
  ) throws -> RunningCommand {
    try run([Binaries.iorun] + arguments, in: host, state: state, input: input)
  }

  /// Starts a program on a host.
  func run(
    _ words: [String], in host: String, state: String = "none", input: String? = nil
  ) throws -> RunningCommand {
    try RunningCommand(
      "/usr/bin/env", namespaces.command(in: host, words), scratch: network.root + "/commands",
      environment: ["IORUN_STATE_DIR": "\(network.root)/\(state)"], input: input,
      directory: network.root)
  }

  /// Runs iorun beside the head, as its operator.
  func iorun(_ arguments: String..., within limit: Duration = .seconds(40)) async throws
    -> CommandResult
  {
    try await start(arguments, in: "head", state: "head").finish(within: limit)
  }

  func ticket(_ role: String) async throws -> String {
    let made = try await iorun("ticket", "create", "--role", role)
    try #require(made.status == 0, "\(made)")
    return made.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Joins a node of so many cores on a host, under the host's name.
  @discardableResult
  func join(_ host: String, cpus: String = "1.5") async throws -> RunningCommand {
    let join = try start(
      // `ip netns exec` hides the control groups, without which there is no sandbox.
      ["join", "-", "--name", host, "--cpus", cpus, "--isolation", "open"], in: host, state: host,
      input: try await ticket("supplier"))
    try await isAlive(host, join)
    return join
  }

  func isAlive(_ node: String, _ process: RunningCommand) async throws {
    try await eventually("\(node) is there") {
      let nodes = try await iorun("nodes", "--json").json()["nodes"] as? [[String: Any]] ?? []
      return nodes.contains {
        $0["name"] as? String == node && $0["state"] as? String == "alive"
      }
    } detail: {
      process.errors
    }
  }

  /// Whether a host gets a TCP connection to an address within two seconds.
  func reaches(_ address: String, _ port: Int, from host: String) async throws -> Bool {
    try await run(
      ["timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/\(address)/\(port)"], in: host
    ).finish(within: .seconds(20)).status == 0
  }
}
