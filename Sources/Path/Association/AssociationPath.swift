internal import IorunCore
internal import Synchronization

/// One end of the way to a peer as its associations see it: seals what goes out and sends it by the
/// route of the moment.
final class AssociationPath: Sendable {
  /// Datagrams of a path that wait for the engine; more are dropped, as on any full line.
  static let backlog = 4096
  /// The longest datagram: what every network carries whole (RFC 9000 14), UDP's header aside.
  static let datagramBytes = 1200
  /// The longest packet in one; SCTP wants a multiple of 4.
  static let packetBytes =
    (datagramBytes - AssociationSeal.overhead - RelayHeader.byteCount) & ~3

  private static let numbers = Atomic<UInt>(0)

  /// Names the path in this process.
  let number: UInt
  let seal: AssociationSeal
  private let channel: any DatagramChannel
  private let route = Mutex<(address: SocketAddress, header: [UInt8])?>(nil)
  /// Datagrams that wait for the engine.
  let waiting = Atomic<Int>(0)
  /// Associations that have a stream now.
  let carried = Atomic<Int>(0)

  init(over channel: any DatagramChannel, seal: AssociationSeal) {
    number = Self.numbers.add(1, ordering: .relaxed).newValue
    self.channel = channel
    self.seal = seal
  }

  /// Where datagrams go from now on; `nil`: nowhere.
  func setRoute(_ new: PathRoute?) {
    var header: [UInt8] = []
    if let value = new?.relayHeader { header.append(bigEndian: value) }
    route.withLock { [header] in $0 = new.map { ($0.address, header) } }
  }

  /// Sends a packet, or drops it where there is no way.
  func send(_ packet: UnsafeRawBufferPointer) {
    guard let route = route.withLock({ $0 }),
      let datagram = seal.close(packet, after: route.header)
    else { return }
    channel.send(datagram, to: route.address, timeToLive: nil)
  }
}

/// The paths of one socket by what their datagrams begin with.
final class AssociationTable: Sendable {
  private let paths = Mutex<[UInt64: AssociationPath]>([:])

  func add(_ path: AssociationPath) {
    paths.withLock { $0[path.seal.inboundName] = path }
  }

  func remove(_ path: AssociationPath) {
    paths.withLock { paths in
      if paths[path.seal.inboundName] === path { paths[path.seal.inboundName] = nil }
    }
  }

  /// Takes a datagram where it is of an association; false where it is somebody else's. Called on the
  /// socket's thread.
  func take(_ datagram: [UInt8]) -> Bool {
    guard let first = datagram.first else { return false }
    let inner: ArraySlice<UInt8>
    switch first {
    case AssociationSeal.firstByte: inner = datagram[...]
    case RelayHeader.dataByte: inner = datagram.dropFirst(RelayHeader.byteCount)
    default: return false
    }
    guard let name = AssociationSeal.name(in: inner) else { return false }
    // By whatever way it came: the seal tells who sent it.
    if let path = paths.withLock({ $0[name] }), let packet = path.seal.open(inner) {
      AssociationEngine.shared.receive(packet, on: path)
    }
    return true
  }
}
