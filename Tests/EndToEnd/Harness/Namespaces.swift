import Foundation
import Testing

/// Three network namespaces around a router, made and removed by a test. The node's own firewall
/// drops every new connection that comes in.
struct Namespaces {
  /// A machine.
  enum Place: Int, CaseIterable {
    case head = 1
    case node, client

    var address: String { "10.213.\(rawValue).2" }
    var gateway: String { "10.213.\(rawValue).1" }
  }

  private let network: TestNetwork
  /// Namespaces are known machine-wide: the scratch folder's name keeps runs apart.
  private let prefix: String

  init(_ network: TestNetwork) {
    self.network = network
    prefix = "ie" + network.root.suffix(6)
  }

  /// Makes the router, the machines, their wires and the node's wall.
  func make() async throws {
    try await ip("netns", "add", name("r"))
    try await ip("netns", "exec", name("r"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for place in Place.allCases {
      let own = name("\(place.rawValue)")
      try await ip("netns", "add", own)
      try await ip("-n", own, "link", "set", "lo", "up")
      // The pair is made inside: the machine that tests run on sees no new interface.
      try await ip(
        "-n", own, "link", "add", "eth0", "type", "veth", "peer", "name", "port\(place.rawValue)",
        "netns", name("r"))
      try await ip("-n", own, "addr", "add", place.address + "/24", "dev", "eth0")
      try await ip("-n", own, "link", "set", "eth0", "up")
      try await ip(
        "-n", name("r"), "addr", "add", place.gateway + "/24", "dev", "port\(place.rawValue)")
      try await ip("-n", name("r"), "link", "set", "port\(place.rawValue)", "up")
      try await ip("-n", own, "route", "add", "default", "via", place.gateway)
    }
    let rules = try network.write(
      """
      table inet wall {
        chain input {
          type filter hook input priority 0; policy accept;
          iifname "eth0" tcp flags & (syn | ack) == syn drop
        }
      }
      """, to: "wall.nft")
    try await ip("netns", "exec", name("\(Place.node.rawValue)"), "nft", "-f", rules)
  }

  /// Removes everything that `make` made, as far as it came.
  func remove() async {
    ProcessScan.killAll(network.root)
    for last in ["1", "2", "3", "r"] {
      _ = try? await network.run("ip", "netns", "del", name(last))
    }
  }

  /// Starts iorun on one of the machines, with a state folder of its own.
  func iorun(
    _ arguments: [String], in place: Place, state: String, input: String? = nil
  ) throws -> RunningCommand {
    try start(Binaries.iorun, arguments, in: place, state: state, input: input)
  }

  /// Starts a program on one of the machines.
  func start(
    _ program: String, _ arguments: [String], in place: Place, state: String = "none",
    input: String? = nil
  ) throws -> RunningCommand {
    try RunningCommand(
      "/usr/bin/env", ["ip", "netns", "exec", name("\(place.rawValue)"), program] + arguments,
      scratch: network.root + "/commands",
      environment: ["IORUN_STATE_DIR": "\(network.root)/\(state)"], input: input,
      directory: network.root)
  }

  private func name(_ last: String) -> String { "\(prefix)-\(last)" }

  private func ip(_ arguments: String...) async throws {
    let command = try RunningCommand(
      "/usr/bin/env", ["ip"] + arguments, scratch: network.root + "/commands")
    let result = try await command.finish(within: .seconds(10))
    try #require(result.status == 0, "\(result)")
  }
}
