internal import Foundation
internal import IorunCore

/// Tunnels by the kernel's own WireGuard, set up by netlink: the fastest where the module is there.
public struct KernelWireGuard: TunnelBackend {
  /// `kernel`.
  public let name = "kernel"

  /// Makes the backend; nothing is tried before `probe`.
  public init() {}

  /// Makes an interface in a namespace that is dropped with it.
  public func probe() async -> TunnelSupport {
    do {
      try await Blocking.run {
        _ = try GenericNetlink(family: KernelWireGuardCodec.family)
        let space = try NetworkNamespace()
        try RouteSocket().makeLink("iorun0", kind: "wireguard", in: space)
      }
      return .available
    } catch {
      return .unavailable((error as? IorunError)?.message ?? "\(error)")
    }
  }

  /// Makes a tunnel. Its UDP socket is in this process's namespace, because the interface is made
  /// from here. Throws `specInvalid`, `notAllowed` for a device that is somebody else's,
  /// `addressInUse`, `networkSetup`.
  public func open(_ config: TunnelConfig, in place: TunnelPlace) async throws -> any TunnelDevice {
    try config.check()
    return try await Blocking.run {
      let device = KernelWireGuardDevice(
        interface: config.interfaceName, namespace: try place.namespace())
      try device.make(config)
      return device
    }
  }
}

extension TunnelPlace {
  /// The namespace in which the interface is to stand; `nil` for this process's. Throws `notAllowed`
  /// for a TUN device.
  func namespace() throws(IorunError) -> NetworkNamespace? {
    switch self {
    case .here: return nil
    case .namespace(let descriptor): return try NetworkNamespace(sharing: descriptor)
    case .device:
      throw IorunError(
        .notAllowed, "this backend makes its interface itself",
        remedy: "Use our own WireGuard for a TUN device that is there")
    }
  }
}

/// A tunnel of the kernel's. All state is the kernel's; the lock only keeps calls after `close` out.
final class KernelWireGuardDevice: TunnelDevice {
  let backend = "kernel"
  let interfaceName: String
  let namespace: NetworkNamespace?
  /// The kernel keeps its socket to itself.
  var socket: (any TunnelSocket)? { nil }

  private struct State {
    var link: RouteSocket.Link?
    var port: UInt16 = 0
  }

  private let state = Synchronized(State())

  init(interface: String, namespace: NetworkNamespace?) {
    interfaceName = interface
    self.namespace = namespace
  }

  var listenPort: UInt16 { state.value.port }

  /// Blocks. What was made is removed where a later step fails.
  func make(_ config: TunnelConfig) throws {
    try RouteSocket().makeLink(interfaceName, kind: "wireguard", in: namespace)
    let routes = try RouteSocket(in: namespace)
    let link = try routes.link(interfaceName)
    do {
      let wireGuard = try GenericNetlink(family: KernelWireGuardCodec.family, in: namespace)
      var message = wireGuard.message(KernelWireGuardCodec.setDevice)
      KernelWireGuardCodec.encode(
        interface: interfaceName, privateKey: config.privateKey, port: config.listenPort,
        into: &message)
      try wireGuard.request(message, "set the key of \(interfaceName)")
      try change(config.peers.map { .set($0) }, wireGuard)
      for address in config.addresses { try routes.addAddress(address, to: link) }
      // The kernel binds the port when the interface comes up.
      try routes.bringUp(link, mtu: config.mtu)
      let port = KernelWireGuardCodec.port(try read(wireGuard))
      state.set(State(link: link, port: port ?? config.listenPort))
    } catch {
      try? routes.remove(link)
      throw error
    }
  }

  func setPeer(_ peer: TunnelPeer) async throws { try await change([.set(peer)]) }

  func removePeer(_ key: TunnelPublicKey) async throws { try await change([.remove(key)]) }

  func setEndpoint(_ endpoint: TunnelEndpoint, of key: TunnelPublicKey) async throws {
    guard endpoint.relayHeader == nil else {
      throw IorunError(.notAllowed, "the kernel's WireGuard cannot send through a relay")
    }
    // The kernel takes a change of an unknown peer in silence.
    guard try await counters()[key] != nil else {
      throw IorunError(.notFound, "the tunnel has no peer \(key)")
    }
    try await change([.endpoint(endpoint.address, of: key)])
  }

  func counters() async throws -> [TunnelPublicKey: TunnelCounters] {
    let now = Date().timeIntervalSince1970
    return try await Blocking.run {
      try self.checkOpen()
      let wireGuard = try GenericNetlink(
        family: KernelWireGuardCodec.family, in: self.namespace)
      return KernelWireGuardCodec.counters(try self.read(wireGuard), now: now)
    }
  }

  func close() async {
    guard let link = state.exchange(State()).link else { return }
    // An interface that is gone with its namespace needs no removal.
    try? await Blocking.run { try RouteSocket(in: self.namespace).remove(link) }
  }

  private func change(_ changes: [TunnelChange]) async throws {
    try await Blocking.run {
      try self.checkOpen()
      try self.change(
        changes, try GenericNetlink(family: KernelWireGuardCodec.family, in: self.namespace))
    }
  }

  private func change(
    _ changes: [TunnelChange], _ wireGuard: GenericNetlink
  ) throws {
    var rest = changes[...]
    while !rest.isEmpty {
      var message = wireGuard.message(KernelWireGuardCodec.setDevice)
      KernelWireGuardCodec.encode(
        interface: interfaceName,
        changes: Array(rest.prefix(KernelWireGuardCodec.peersPerRequest)), into: &message)
      try wireGuard.request(message, "set the peers of \(interfaceName)")
      rest = rest.dropFirst(KernelWireGuardCodec.peersPerRequest)
    }
  }

  private func read(_ wireGuard: GenericNetlink) throws -> [NetlinkAttributes] {
    var message = wireGuard.message(KernelWireGuardCodec.getDevice, flags: NetlinkFlags.dump)
    KernelWireGuardCodec.encode(interface: interfaceName, into: &message)
    return try wireGuard.request(message, "read \(interfaceName)")
  }

  private func checkOpen() throws {
    guard state.value.link != nil else {
      throw IorunError(.wrongState, "the tunnel \(interfaceName) is closed")
    }
  }
}
