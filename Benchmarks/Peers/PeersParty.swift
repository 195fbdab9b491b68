internal import ArgumentParser
internal import CZeroMQ
internal import Foundation
internal import IorunCore
internal import IorunMesh
internal import IorunWire

/// The processes of the measurement of many peers: one head, and several that hold many light peers.
/// A light peer greets, sends a heartbeat each second and greets again after a silence, as a node's
/// link does; it has no session and no actors.
enum PeersParty {
  /// What a holder of peers tells: two numbers in a file.
  struct Tally {
    /// Peers that were welcomed, counted again after each loss.
    var welcomes = 0
    /// Heartbeats that were answered.
    var answers = 0

    static func read(_ path: String) -> Tally {
      let numbers = Machine.text(path).split(separator: " ").compactMap { Int($0) }
      return numbers.count == 2 ? Tally(welcomes: numbers[0], answers: numbers[1]) : Tally()
    }

    func write(_ path: String) {
      try? "\(welcomes) \(answers)".write(toFile: path, atomically: true, encoding: .utf8)
    }
  }

  private struct Peer {
    let socket: PlainSocket
    var connection: UInt64 = 1
    var isWelcome = false
    var heardAt: Int64
    var pingAt: Int64
  }

  private static let second: Int64 = 1_000_000_000
  /// After so long without an answer a peer greets again.
  private static let silence = 2 * second

  /// Raises the number of descriptors to what the system allows.
  static func raiseDescriptors() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  /// A head that admits so many peers, with a key that outlives it.
  static func head(of count: Int, at address: String, keyFile: String) throws {
    raiseDescriptors()
    let endpoint = try ZeroMQEndpoint(
      identity: CurveKey.loadOrCreate(at: keyFile), listening: [address],
      admits: BenchKey.admission(of: count), uplink: nil, security: .curve)
    endpoint.start(Sink())
    Party.announce(address: endpoint.addresses[0], key: endpoint.publicKey)
    Party.waitForEndOfInput()
  }

  /// So many peers from number `first` on, until stdin ends.
  static func hold(
    _ count: Int, from first: Int, at address: String, key: [UInt8], tally path: String
  ) throws {
    raiseDescriptors()
    Party.exitAtEndOfInput()
    let context = PlainSocket.context(sockets: count + 16)
    var tally = Tally()
    var peers: [Peer] = []
    var now = Meter.now()
    for index in 0..<count {
      let socket = try PlainSocket(ZMQ_DEALER, in: context)
      try socket.makeClient(of: key, as: BenchKey.pair(first + index))
      try socket.reconnect(every: 200, upTo: 1000)
      try socket.connect(address)
      // Heartbeats are spread over the second, as those of real nodes are.
      peers.append(
        Peer(
          socket: socket, heardAt: now,
          pingAt: now + second + Int64(index) * second / Int64(count)))
      greet(peers[index])
    }
    var items = peers.map {
      zmq_pollitem_t(
        socket: $0.socket.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
    }
    var written = 0
    while true {
      zmq_poll(&items, Int32(items.count), 20)
      now = Meter.now()
      for index in peers.indices {
        if items[index].revents != 0 { receive(&peers[index], now, &tally) }
        turn(&peers[index], now)
      }
      if tally.welcomes != written || tally.answers & 63 == 0 {
        written = tally.welcomes
        tally.write(path)
      }
    }
  }

  private static func turn(_ peer: inout Peer, _ now: Int64) {
    guard now >= peer.pingAt else { return }
    peer.pingAt = now + second
    if now - peer.heardAt > silence {
      peer.isWelcome = false
      peer.connection += 1
      greet(peer)
    } else if peer.isWelcome {
      send(.ping(token: UInt64(bitPattern: now)), over: peer)
    }
  }

  private static func receive(_ peer: inout Peer, _ now: Int64, _ tally: inout Tally) {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { room in
      while true {
        let count = zmq_recv(peer.socket.handle, room.baseAddress, room.count, ZMQ_DONTWAIT)
        guard count > 0 else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<Int(count)])
        for frame in (try? FrameCodec.decode(bytes)) ?? [] {
          switch frame {
          case .welcome where !peer.isWelcome:
            peer.isWelcome = true
            peer.heardAt = now
            tally.welcomes += 1
          case .pong:
            peer.heardAt = now
            tally.answers += 1
          default: continue
          }
        }
      }
    }
  }

  private static func greet(_ peer: Peer) {
    send(
      .hello(
        protocolVersion: IorunVersion.wireProtocol, release: IorunVersion.release,
        connection: peer.connection, instance: 0), over: peer)
  }

  private static func send(_ frame: Frame, over peer: Peer) {
    var bytes: [UInt8] = []
    FrameCodec.append(frame, to: &bytes)
    // Lost where there is no connection: the next turn sends again.
    zmq_send(peer.socket.handle, bytes, bytes.count, ZMQ_DONTWAIT)
  }

  private struct Sink: TransportReceiver {
    func received(_ batch: [InboundPayload]) {}
    func peerLost(_ peer: PeerID, _ error: IorunError) {}
    func tick(now: MonotonicTime) {}
  }
}

/// Runs one process of the measurement; not for people.
struct PeersPartyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "__peers", shouldDisplay: false)

  @Argument var part: String
  @Argument var address: String
  @Option var folder: String
  @Option var key = ""
  @Option var count = 1
  @Option var first = 0

  func run() throws {
    if part == "head" {
      try PeersParty.head(of: count, at: address, keyFile: folder)
    } else {
      try PeersParty.hold(
        count, from: first, at: address, key: Base32.decode(key) ?? [], tally: folder)
    }
  }
}
