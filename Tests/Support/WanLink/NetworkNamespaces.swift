import CWanLink
import Foundation
import Glibc

/// Network namespaces of a test, each a machine of its own as far as the network goes: made with
/// names that nobody else has, and removed when the test ends, however it ends.
public struct NetworkNamespaces: Sendable {
  /// Why namespaces and links cannot be made here; `nil` where they can.
  public static let unavailableReason: String? = {
    guard geteuid() == 0 else { return "network namespaces need root" }
    let folders = ["/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"]
    guard folders.contains(where: { FileManager.default.isExecutableFile(atPath: $0 + "ip") })
    else { return "network namespaces need the ip command of iproute2" }
    guard FileManager.default.fileExists(atPath: "/dev/net/tun") else {
      return "emulated links need /dev/net/tun"
    }
    return nil
  }()

  /// Whether namespaces and links can be made here.
  public static var areAvailable: Bool { unavailableReason == nil }

  private let prefix: String
  private let roles: [String]

  private init(roles: [String]) {
    prefix = "iorun-test-" + String(UInt32.random(in: .min ... .max), radix: 36)
    self.roles = roles
  }

  /// Makes a namespace for each role, with its loopback up, runs `body`, and removes them with all
  /// processes in them.
  ///
  /// - Parameter roles: short words, such as "head" and "node".
  /// - Throws: `WanLinkError` where a namespace cannot be made, and what `body` throws.
  public static func with<Outcome>(
    _ roles: String..., body: (NetworkNamespaces) async throws -> Outcome
  ) async throws -> Outcome {
    let namespaces = NetworkNamespaces(roles: roles)
    do {
      for role in roles {
        try await namespaces.ip("netns", "add", namespaces.name(role))
        try await namespaces.ip("-n", namespaces.name(role), "link", "set", "lo", "up")
      }
      let outcome = try await body(namespaces)
      await namespaces.remove()
      return outcome
    } catch {
      await namespaces.remove()
      throw error
    }
  }

  /// The name of a role's namespace.
  public func name(_ role: String) -> String { "\(prefix)-\(role)" }

  /// The file of a role's namespace.
  public func path(_ role: String) -> String { "/run/netns/" + name(role) }

  /// The words that run a command in a role's namespace.
  public func command(in role: String, _ words: [String]) -> [String] {
    ["ip", "netns", "exec", name(role)] + words
  }

  /// Runs a command in a role's namespace to its end, and returns what it printed.
  ///
  /// - Throws: `WanLinkError` where it fails, with what it printed.
  @discardableResult
  public func run(in role: String, _ words: String...) async throws -> String {
    try await Self.checked(command(in: role, words))
  }

  /// A socket of a role's namespace, for a test that speaks there itself. The caller closes it.
  ///
  /// - Throws: `WanLinkError` where the kernel refuses.
  public func socket(in role: String, domain: Int32, type: Int32, protocol: Int32 = 0) throws
    -> Int32
  {
    try WanLinkError.check(
      iorun_wanlink_socket(path(role), domain, type, `protocol`), "make a socket in \(name(role))")
  }

  /// Joins two namespaces by a wire without delay, a device `eth-ROLE` at each end, named after the
  /// other's role. Addresses are written with their prefix length: "10.1.0.1/24".
  ///
  /// - Throws: `WanLinkError` where the kernel refuses.
  public func joinByWire(
    _ one: String, address: String, to other: String, address otherAddress: String
  ) async throws {
    try await ip(
      "-n", name(one), "link", "add", "eth-\(other)", "type", "veth", "peer", "name",
      "eth-\(one)", "netns", name(other))
    for (role, peer, own) in [(one, other, address), (other, one, otherAddress)] {
      try await ip("-n", name(role), "address", "add", own, "dev", "eth-\(peer)")
      try await ip("-n", name(role), "link", "set", "eth-\(peer)", "up")
    }
  }

  /// Makes `hub` a switch between the other namespaces: the first gets the address `subnet`.1, and
  /// so on, on a device `eth-hub` named after the hub's role.
  ///
  /// - Parameter subnet: the first three numbers of a /24: "10.1.0".
  /// - Throws: `WanLinkError` where the kernel refuses.
  public func joinBySwitch(_ others: [String], hub: String, subnet: String) async throws {
    try await ip("-n", name(hub), "link", "add", "switch", "type", "bridge")
    try await ip("-n", name(hub), "link", "set", "switch", "up")
    for (index, role) in others.enumerated() {
      try await ip(
        "-n", name(hub), "link", "add", "port\(index)", "type", "veth", "peer", "name",
        "eth-\(hub)", "netns", name(role))
      try await ip("-n", name(hub), "link", "set", "port\(index)", "master", "switch", "up")
      try await ip(
        "-n", name(role), "address", "add", "\(subnet).\(index + 1)/24", "dev", "eth-\(hub)")
      try await ip("-n", name(role), "link", "set", "eth-\(hub)", "up")
    }
  }

  /// Ends what runs in the namespaces and removes them, as far as they were made.
  private func remove() async {
    for role in roles {
      let listed = try? await Command.run(["ip", "netns", "pids", name(role)])
      if let listed, listed.status == 0 {
        for pid in listed.output.split(whereSeparator: \.isNewline).compactMap({ pid_t($0) }) {
          kill(pid, SIGKILL)
        }
      }
      _ = try? await Command.run(["ip", "netns", "delete", name(role)])
    }
  }

  private func ip(_ words: String...) async throws { try await Self.checked(["ip"] + words) }

  @discardableResult
  private static func checked(_ words: [String]) async throws -> String {
    let result = try await Command.run(words)
    guard result.status == 0 else {
      throw WanLinkError("\(words.joined(separator: " ")) -> \(result.status): \(result.output)")
    }
    return result.output
  }
}
