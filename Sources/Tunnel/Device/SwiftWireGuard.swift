internal import CTunnel
internal import Foundation
public import IorunCore

/// A tunnel of our own WireGuard. To be closed; one that is forgotten closes itself when the last
/// reference goes.
public final class SwiftWireGuard: TunnelDevice, TunnelSocket {
  /// The name of the interface.
  public let interfaceName: String
  /// The UDP port.
  public let listenPort: UInt16

  private let core: TunnelCore

  /// Makes the interface and the socket, and starts. Blocks for some milliseconds.
  init(_ config: TunnelConfig, place: TunnelPlace, threads: Int) throws {
    let tun: Int32
    switch place {
    case .here: tun = try SwiftWireGuardBackend.makeInterface(config, namespace: -1)
    case .namespace(let descriptor):
      tun = try SwiftWireGuardBackend.makeInterface(config, namespace: descriptor)
    case .device(let descriptor): tun = descriptor
    }
    var (udp, port): (Int32, UInt16) = (-1, 0)
    do {
      var name = [CChar](repeating: 0, count: 16)
      let prepared = ct_tun_prepare(tun, &name)
      guard prepared == 0 else {
        throw SwiftWireGuardBackend.fault("the device is of no use for a tunnel", -prepared)
      }
      interfaceName = String(
        decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      udp = ct_socket_create(config.listenPort, &port)
      guard udp >= 0 else {
        throw SwiftWireGuardBackend.fault("cannot open UDP port \(config.listenPort)", -udp)
      }
      listenPort = port
      core = try TunnelCore(config, tun: tun, socket: udp, threads: threads)
    } catch {
      Glibc.close(tun)
      if udp >= 0 { Glibc.close(udp) }
      throw error
    }
    core.start()
  }

  deinit { core.stop() }

  /// `iorun`.
  public var backend: String { "iorun" }
  /// The same UDP socket, for those who look for paths.
  public var socket: (any TunnelSocket)? { self }
  /// The UDP port.
  public var port: UInt16 { listenPort }

  /// Adds or changes a peer; see ``TunnelDevice``.
  public func setPeer(_ peer: TunnelPeer) async throws { try core.setPeer(peer) }

  /// Forgets a peer.
  public func removePeer(_ key: TunnelPublicKey) async throws { try core.removePeer(key) }

  /// Sends to a peer by another way.
  public func setEndpoint(_ endpoint: TunnelEndpoint, of key: TunnelPublicKey) async throws {
    try core.setEndpoint(endpoint, of: key)
  }

  /// What has been counted.
  public func counters() async throws -> [TunnelPublicKey: TunnelCounters] {
    try core.counters()
  }

  /// Makes a new key with a peer now instead of when the present one is two minutes old.
  public func renewKey(with key: TunnelPublicKey) throws { try core.renewKey(with: key) }

  /// What was dropped since the start, and why; only reasons that occurred.
  public func drops() throws -> [String: UInt64] { try core.drops() }

  /// How many datagrams and system calls there were.
  public func batches() throws -> TunnelBatches { try core.batches() }

  /// Sends one datagram that is not WireGuard's; see ``TunnelSocket``.
  public func send(
    _ datagram: [UInt8], to address: SocketAddress, timeToLive: Int?
  ) throws {
    try core.send(datagram, to: address, timeToLive: timeToLive)
  }

  /// Who takes datagrams that are not WireGuard's; see ``TunnelSocket``.
  public func onDatagram(_ handler: (@Sendable ([UInt8], SocketAddress) -> Void)?) {
    core.onDatagram(handler)
  }

  /// Ends the tunnel; see ``TunnelDevice``.
  public func close() async {
    let core = core
    try? await Blocking.run {
      core.stop()
      core.waitForEnd()
    }
  }
}

/// How well system calls are used: a call moves dozens of packets of a busy stream.
public struct TunnelBatches: Sendable, Hashable {
  /// Datagrams sent, and the calls that it took.
  public var sentPackets: UInt64, sendCalls: UInt64
  /// Datagrams received, and the calls that it took.
  public var receivedPackets: UInt64, receiveCalls: UInt64
  /// Packets, up to 64 KiB each, that the interface gave and took.
  public var interfaceReads: UInt64, interfaceWrites: UInt64
}
