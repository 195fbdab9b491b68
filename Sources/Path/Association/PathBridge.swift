internal import CPath
internal import Foundation
public import IorunCore
internal import Synchronization

/// TCP connections of this machine carried over a path of datagrams: what connects to ``address`` here
/// reaches a TCP port of the peer's machine, and what the peer's machine connects reaches one of this
/// machine's. The bytes travel in SCTP associations (RFC 9260), one for each connection, which resend,
/// order and slow down as TCP does.
///
/// Bytes are sealed between the two disco keys, which says who sends them and hides nothing from the
/// ends: what is to be secret is encrypted within.
public final class PathBridge: Sendable {
  /// Where to connect: an address of loopback that stands for the peer.
  public let address: SocketAddress
  private let path: AssociationPath
  private let table: AssociationTable
  private let isStopped = Mutex(false)

  /// - Parameters:
  ///   - standIn: an address of loopback that stands for the peer, whose port is chosen here.
  ///   - target: where connections from the peer's machine lead on this one; `nil`: none are taken.
  /// - Throws: `addressInUse` or `internalFault` where the kernel refuses a socket.
  init(
    over path: AssociationPath, in table: AssociationTable, as standIn: SocketAddress,
    to target: SocketAddress?
  ) throws {
    var native = standIn.native
    let door = try PathFailure.check(
      iorun_tcp_listen(&native, 0, 4), "listen on \(standIn.host) of loopback")
    address = standIn.with(port: UInt16(clamping: iorun_udp_port(door)))
    self.path = path
    self.table = table
    table.add(path)
    AssociationEngine.shared.add(
      AssociationEngine.Entrance(
        path: path, door: door, target: target, source: standIn.with(port: 0)))
  }

  deinit { stop() }

  /// The way of the datagrams from now on; `nil`: there is none, and connections wait for one.
  public func setRoute(_ route: PathRoute?) { path.setRoute(route) }

  /// Whether it carries a connection now.
  public var isCarrying: Bool { path.carried.load(ordering: .relaxed) > 0 }

  /// Ends it and all that it carries.
  public func stop() {
    isStopped.withLock { isStopped in
      guard !isStopped else { return }
      isStopped = true
      table.remove(path)
      AssociationEngine.shared.remove(path)
    }
  }
}

extension PathKeeper {
  /// A bridge to a peer over this keeper's socket. It goes where ``PathBridge/setRoute(_:)`` says:
  /// give it the route that ``add(_:_:through:onRoute:)`` tells.
  ///
  /// - Parameters:
  ///   - key: the peer's disco key.
  ///   - context: what else both ends know of the pair.
  ///   - standIn: an address of loopback that stands for the peer.
  ///   - target: where connections from the peer's machine lead on this one; `nil`: none are taken.
  /// - Throws: `malformed` for an unusable key; `addressInUse` or `internalFault` where the kernel
  ///   refuses a socket.
  public nonisolated func bridge(
    to key: [UInt8], context: [UInt8] = [], as standIn: SocketAddress, target: SocketAddress?
  ) throws -> PathBridge {
    let seal = try AssociationSeal(own: self.key, peer: key, context: context)
    return try PathBridge(
      over: AssociationPath(over: channel, seal: seal), in: associations, as: standIn, to: target)
  }
}
