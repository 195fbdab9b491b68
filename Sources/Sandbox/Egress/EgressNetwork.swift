internal import CShim
internal import Foundation
public import IorunCore
internal import Synchronization

/// The network of one sandbox: a namespace, and where the policy lets anything out a pair of interfaces
/// to the machine, with a firewall at the machine's end and a resolver of the agent's at the other.
///
/// The namespace belongs to the machine's own user namespace, so that a program in it, whatever it is
/// inside, can change nothing of its interfaces, routes and queues.
public final class EgressNetwork: Sendable {
  /// The name of the interface that leads out, within the namespace.
  public static let interface = "out0"

  /// The namespace, for ``SandboxSpec/Network/namespace(_:)``; open as long as this is.
  public let namespace: Int32
  /// Whom the sandbox may speak to.
  public let policy: EgressPolicy
  /// The sandbox's addresses; empty where nothing is let out.
  public var addresses: [IPAddress] { line?.addresses ?? [] }
  /// What the sandbox should read as /etc/resolv.conf; empty where it has no resolver.
  public var resolverFile: String {
    line?.resolver == nil ? "" : "nameserver \(EgressResolver.address)\noptions edns0\n"
  }

  private let line: Line?
  private let isOpen = Mutex(true)

  /// Makes the network. Blocks for some hundredths of a second; needs root.
  ///
  /// - Parameters:
  ///   - namespace: a namespace that is there already, a gang's for example, in which the interface to
  ///     the machine becomes one more; its descriptor is copied. `nil`: a new one.
  ///   - router: not needed for ``EgressPolicy/none``.
  /// - Throws: `sandboxUnavailable` without a router where one is needed; `sandboxFailed` where the
  ///   kernel or a program refuses. Nothing is left then.
  public init(
    _ policy: EgressPolicy, limits: EgressLimits = EgressLimits(), namespace: Int32? = nil,
    router: EgressRouter?
  ) throws {
    let space = namespace.map { fcntl($0, F_DUPFD_CLOEXEC, 3) } ?? iorun_netns_create()
    guard space >= 0 else {
      throw IorunError.system("cannot make", "a network", errno: namespace == nil ? -space : errno)
    }
    self.namespace = space
    self.policy = policy
    do {
      _ = try EgressRouter.run("ip", ["link", "set", "lo", "up"], network: space)
      if policy == .none {
        line = nil
      } else if let router {
        line = try Line(policy, limits, router: router, space: space)
      } else {
        throw IorunError(
          .sandboxUnavailable, "this machine leads no sandbox to a network",
          remedy: "Run the node as root, with iproute2 and nftables installed")
      }
    } catch {
      Foundation.close(space)
      throw error
    }
  }

  deinit { close() }

  /// Takes the network away; whoever is still in the namespace is alone there. Blocks shortly. Doing it
  /// twice is fine.
  public func close() {
    let wasOpen = isOpen.withLock { isOpen in
      defer { isOpen = false }
      return isOpen
    }
    guard wasOpen else { return }
    line?.remove()
    Foundation.close(namespace)
  }
}

/// The pair of interfaces between one sandbox and the machine, and all that belongs to it.
private struct Line {
  let router: EgressRouter
  let slot: Int
  let firewall: EgressFirewall
  let addresses: [IPAddress]
  private(set) var resolver: EgressResolver?

  // The sandbox's end.
  static let inside = EgressNetwork.interface

  init(
    _ policy: EgressPolicy, _ limits: EgressLimits, router: EgressRouter, space: Int32
  ) throws {
    var first = 0
    while true {
      let slot = try router.takeSlot(from: first)
      do {
        try self.init(policy, limits, router: router, space: space, slot: slot)
        return
      } catch is Taken {
        // Another agent of this machine has that one.
        router.returnSlot(slot)
        first = slot + 1
      } catch {
        router.returnSlot(slot)
        throw error
      }
    }
  }

  private struct Taken: Error {}

  private init(
    _ policy: EgressPolicy, _ limits: EgressLimits, router: EgressRouter, space: Int32, slot: Int
  ) throws {
    self.router = router
    self.slot = slot
    let name = EgressRouter.interfacePrefix + "\(slot)"
    let network = router.network
    // Four addresses a sandbox, of the range that is kept for measurements (RFC 2544): no network of
    // the machine's has it.
    let base = 198 << 24 | 19 << 16 | UInt32(slot) << 2
    let host4 = IPAddress.v4(base + 1)
    let own4 = IPAddress.v4(base + 2)
    let high = UInt64(0xfd69_6f72_756e) << 16 | UInt64(slot)
    let host6 = IPAddress.v6(high: high, low: 1)
    let own6 = IPAddress.v6(high: high, low: 2)
    addresses = router.hasIPv6 ? [own4, own6] : [own4]
    firewall = try EgressFirewall(
      policy, interface: name, outside: router.outside, addresses: addresses, limits: limits)
    if (try? EgressRouter.run("ip", ["link", "show", "dev", name], network: network)) != nil {
      throw Taken()
    }
    do {
      // The rules first: there is no moment without them.
      _ = try EgressRouter.run("nft", ["-f", "-"], input: firewall.text, network: network)
      _ = try EgressRouter.run(
        "ip",
        [
          "link", "add", name, "type", "veth", "peer", "name", Self.inside, "netns",
          "/proc/\(getpid())/fd/\(space)",
        ], network: network)
      var lines = ["addr add \(host4)/30 dev \(name)"]
      var linesInside = ["addr add \(own4)/30 dev \(Self.inside)"]
      if router.hasIPv6 {
        lines.append("addr add \(host6)/64 dev \(name) nodad")
        linesInside.append("addr add \(own6)/64 dev \(Self.inside) nodad")
      }
      lines.append("link set \(name) up")
      linesInside += ["link set \(Self.inside) up", "route add default via \(host4)"]
      if router.hasIPv6 { linesInside.append("route add ::/0 via \(host6)") }
      try Self.batch("ip", lines, network: network)
      try Self.batch("ip", linesInside, network: space)
      _ = try EgressRouter.run("sh", [], input: Self.settings(name), network: network)
      if let rate = limits.receivedPerSecond {
        try Self.batch("tc", [EgressLimits.bucket(rate, on: name)], network: network)
      }
      if let rate = limits.sentPerSecond {
        try Self.batch("tc", [EgressLimits.bucket(rate, on: Self.inside)], network: space)
      }
      if case .internet = policy {
        resolver = try EgressResolver(
          policy, upstreams: router.resolvers, space: space, network: network)
      }
    } catch {
      remove()
      throw error
    }
  }

  func remove() {
    resolver?.stop()
    let network = router.network
    _ = try? EgressRouter.run("ip", ["link", "delete", firewall.interface], network: network)
    // Last: there is no moment without it.
    _ = try? EgressRouter.run("nft", ["-f", "-"], input: firewall.removal, network: network)
    router.returnSlot(slot)
  }

  private static func batch(_ name: String, _ lines: [String], network: Int32) throws {
    _ = try EgressRouter.run(
      name, ["-batch", "-"], input: lines.joined(separator: "\n") + "\n", network: network)
  }

  // What the kernel is to do with packets from the sandbox.
  private static func settings(_ name: String) -> String {
    """
    set -eu
    four=/proc/sys/net/ipv4/conf/\(name) six=/proc/sys/net/ipv6/conf/\(name)
    echo 1 > $four/forwarding
    echo 0 > $four/send_redirects
    echo 0 > $four/accept_redirects
    if [ -e $six ]; then
      echo 0 > $six/accept_ra
      if [ -e $six/force_forwarding ]; then echo 1 > $six/force_forwarding
      elif [ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 1 ]; then echo 1 > $six/forwarding; fi
    fi
    """
  }
}
