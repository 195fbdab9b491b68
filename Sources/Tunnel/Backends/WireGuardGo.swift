internal import Foundation
internal import Glibc
internal import IorunCore
internal import IorunCrypto

/// Tunnels by the program `wireguard-go`, one process each: the choice where neither the kernel's
/// WireGuard nor our own works, and the judge of our own in tests.
public struct WireGuardGo: TunnelBackend {
  /// `wireguard-go`.
  public let name = "wireguard-go"
  private let program: String?

  /// Looks for the program in the usual folders.
  public init() {
    program = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/bin"]
      .map { $0 + "/wireguard-go" }.first { access($0, X_OK) == 0 }
  }

  /// Makes a tunnel and ends it.
  public func probe() async -> TunnelSupport {
    do {
      let space = try await Blocking.run { try NetworkNamespace() }
      let config = TunnelConfig(
        interfaceName: "iorun0", privateKey: try TunnelPrivateKey(), addresses: [])
      try await open(config, in: .namespace(descriptor: space.descriptor)).close()
      return .available
    } catch {
      return .unavailable((error as? IorunError)?.message ?? "\(error)")
    }
  }

  /// Starts a process and gives its interface away. Throws `specInvalid`, `notAllowed` for a device
  /// that is somebody else's, `spawnFailed`, `addressInUse`, `networkSetup`.
  public func open(_ config: TunnelConfig, in place: TunnelPlace) async throws -> any TunnelDevice {
    try config.check()
    guard let program else {
      throw IorunError(
        .spawnFailed, "wireguard-go is not installed", remedy: "apt-get install wireguard-go")
    }
    return try await Blocking.run {
      let namespace = try place.namespace()
      // Its socket's folder is shared by all namespaces: the name must be the machine's only one.
      let unique = namespace == nil ? config.interfaceName : try Self.uniqueName()
      let process = try WireGuardGoProcess(program: program, interface: unique)
      do {
        let device = WireGuardGoDevice(process, interface: config.interfaceName)
        try device.make(config, madeAs: unique, namespace)
        return device
      } catch {
        process.stop()
        throw error
      }
    }
  }

  private static func uniqueName() throws -> String {
    let bytes = try SecureRandom.bytes(5)
    return "iog" + bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}

/// A tunnel of a `wireguard-go` process.
final class WireGuardGoDevice: TunnelDevice {
  let backend = "wireguard-go"
  let interfaceName: String
  /// The process keeps its socket to itself.
  var socket: (any TunnelSocket)? { nil }

  private struct State {
    var port: UInt16 = 0
    var isOpen = true
  }

  private let process: WireGuardGoProcess
  private let state = Synchronized(State())

  init(_ process: WireGuardGoProcess, interface: String) {
    self.process = process
    interfaceName = interface
  }

  var listenPort: UInt16 { state.value.port }

  /// Blocks.
  func make(_ config: TunnelConfig, madeAs name: String, _ namespace: NetworkNamespace?) throws {
    try process.change(
      UAPI.set(
        privateKey: config.privateKey, port: config.listenPort,
        changes: config.peers.map { .set($0) }))
    let here = try RouteSocket()
    if let namespace { try here.move(try here.link(name), to: namespace, as: interfaceName) }
    let routes = try RouteSocket(in: namespace)
    let link = try routes.link(interfaceName)
    for address in config.addresses { try routes.addAddress(address, to: link) }
    try routes.bringUp(link, mtu: config.mtu)
    // It binds its port when it hears that the interface is up.
    for _ in 0..<200 {
      if let port = UAPI.port(try process.read()), port > 0 {
        state.set(State(port: port))
        return
      }
      usleep(5000)
    }
    throw IorunError(.networkSetup, "wireguard-go has bound no port within 1 s")
  }

  func setPeer(_ peer: TunnelPeer) async throws { try await change(.set(peer)) }

  func removePeer(_ key: TunnelPublicKey) async throws { try await change(.remove(key)) }

  func setEndpoint(_ endpoint: TunnelEndpoint, of key: TunnelPublicKey) async throws {
    guard endpoint.relayHeader == nil else {
      throw IorunError(.notAllowed, "wireguard-go cannot send through a relay")
    }
    guard try await counters()[key] != nil else {
      throw IorunError(.notFound, "the tunnel has no peer \(key)")
    }
    try await change(.endpoint(endpoint.address, of: key))
  }

  func counters() async throws -> [TunnelPublicKey: TunnelCounters] {
    let now = Date().timeIntervalSince1970
    return try await Blocking.run {
      try self.checkOpen()
      return UAPI.counters(try self.process.read(), now: now)
    }
  }

  func close() async {
    guard state.exchange(State(isOpen: false)).isOpen else { return }
    try? await Blocking.run { self.process.stop() }
  }

  private func change(_ change: TunnelChange) async throws {
    try await Blocking.run {
      try self.checkOpen()
      try self.process.change(UAPI.set(changes: [change]))
    }
  }

  private func checkOpen() throws {
    guard state.value.isOpen else {
      throw IorunError(.wrongState, "the tunnel \(interfaceName) is closed")
    }
  }
}
