public import IorunCore

/// What a tunnel is to be: its key, its interface and its peers. The same value makes any backend's
/// tunnel.
public struct TunnelConfig: Sendable, Hashable {
  /// The name of the interface that programs see: 1 to 15 bytes, no `/`, space or `%`.
  public var interfaceName: String
  /// This side's key.
  public var privateKey: TunnelPrivateKey
  /// The UDP port on all addresses of the machine; 0: any free one.
  public var listenPort: UInt16
  /// The interface's addresses, each with the length of its net. The kernel routes these nets, and
  /// nothing else, into the tunnel.
  public var addresses: [IPPrefix]
  /// The largest packet, in bytes, that the interface takes; 1,280 to 9,000.
  public var mtu: Int
  /// Who is at the other ends, at most ``maximumPeers``.
  public var peers: [TunnelPeer]

  /// Fits the smallest underlay in use (1,460 bytes at one cloud provider) with IPv6 and WireGuard's
  /// 80 bytes of overhead.
  public static let defaultMTU = 1380
  /// The MTU of a tunnel on ways that carry packets of `pathMTU` bytes whole, but for a relay's header:
  /// less than the usual where they are narrow (a mobile network, a tunnel in a tunnel), so that none is
  /// cut to pieces. IPv6 needs 1,280; below that the kernel cuts.
  public static func mtu(onPath pathMTU: Int) -> Int {
    min(defaultMTU, max(1280, pathMTU - overhead))
  }

  /// IPv6's header, UDP's, WireGuard's with its padding, and a relay's.
  private static let overhead = 40 + 8 + 32 + TunnelEndpoint.RelayHeader.byteCount

  /// The most peers that a tunnel takes.
  public static let maximumPeers = 1024

  /// Makes a description of a tunnel; nothing is checked before it is opened.
  public init(
    interfaceName: String, privateKey: TunnelPrivateKey, listenPort: UInt16 = 0,
    addresses: [IPPrefix], mtu: Int = Self.defaultMTU, peers: [TunnelPeer] = []
  ) {
    self.interfaceName = interfaceName
    self.privateKey = privateKey
    self.listenPort = listenPort
    self.addresses = addresses
    self.mtu = mtu
    self.peers = peers
  }

  /// Throws `specInvalid` where no tunnel can be made of it: a bad interface name or MTU, too many
  /// peers, or the same key or allowed range twice.
  public func check() throws {
    let name = interfaceName.utf8
    let isNameGood =
      (1...15).contains(name.count) && interfaceName != "." && interfaceName != ".."
      && name.allSatisfy {
        (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "%")
          && $0 != UInt8(ascii: ":")
      }
    guard isNameGood else { throw fault("'\(interfaceName)' is no name for an interface") }
    guard (1280...9000).contains(mtu) else { throw fault("an MTU of \(mtu) bytes") }
    guard peers.count <= Self.maximumPeers else { throw fault("\(peers.count) peers") }
    guard Set(peers.map(\.publicKey)).count == peers.count else { throw fault("a peer twice") }
    let allowed = peers.flatMap { $0.allowedIPs.map(\.masked) }
    guard Set(allowed).count == allowed.count else { throw fault("an allowed range twice") }
  }

  private func fault(_ what: String) -> IorunError {
    IorunError(.specInvalid, "a tunnel cannot have \(what)")
  }
}
