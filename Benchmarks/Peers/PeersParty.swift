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

  /// A head that admits so many peers, with a key that outlives it.
  static func head(of count: Int, at address: String, keyFile: String) throws {
    OpenFileLimit.raise(to: .max)
    let endpoint = try ZeroMQEndpoint(
      identity: CurveKey.loadOrCreate(at: keyFile), listening: [address],
      admits: BenchKey.admission(of: count), uplink: nil, security: .curve)
    endpoint.start(Sink())
    Party.announce(address: endpoint.addresses[0], key: endpoint.publicKey)
    Party.waitForEndOfInput()
  }

  /// A head of libzmq alone: what its I/O thread and a loop that answers cost, without anything of ours.
  /// It admits every key, welcomes whoever greets and answers each heartbeat with the same bytes.
  static func plainHead(at address: String, keyFile: String) throws {
    OpenFileLimit.raise(to: .max)
    let key = try CurveKey.loadOrCreate(at: keyFile)
    let context = PlainSocket.context(sockets: 16)
    let socket = try PlainSocket(ZMQ_ROUTER, in: context)
    try socket.makeServer(as: key)
    socket.setBacklog(1024)
    Party.announce(address: try socket.bind(address), key: key.publicKey)
    Party.exitAtEndOfInput()
    var welcome: [UInt8] = []
    FrameCodec.append(
      .welcome(
        protocolVersion: IorunVersion.wireProtocol, release: IorunVersion.release, connection: 1),
      to: &welcome)
    var pong: [UInt8] = []
    FrameCodec.append(.pong(token: 1 << 60), to: &pong)
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { room in
      withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { route in
        while true {
          let routeBytes = zmq_recv(socket.handle, route.baseAddress, route.count, 0)
          let count = zmq_recv(socket.handle, room.baseAddress, room.count, 0)
          guard routeBytes > 0, count > 0 else { continue }
          let message = UnsafeRawBufferPointer(start: room.baseAddress, count: Int(count))
          let answer = HeartbeatCodec.ping(message) == nil ? welcome : pong
          zmq_send(
            socket.handle, route.baseAddress, Int(routeBytes), ZMQ_DONTWAIT | ZMQ_SNDMORE)
          zmq_send(socket.handle, answer, answer.count, ZMQ_DONTWAIT)
        }
      }
    }
  }

  /// So many peers from number `first` on, until stdin ends.
  static func hold(
    _ count: Int, from first: Int, at address: String, key: [UInt8], tally path: String
  ) throws {
    OpenFileLimit.raise(to: .max)
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
    var written = Tally()
    while true {
      zmq_poll(&items, Int32(items.count), 20)
      now = Meter.now()
      for index in peers.indices {
        if items[index].revents != 0 { receive(&peers[index], now, &tally) }
        turn(&peers[index], now)
      }
      if tally.welcomes != written.welcomes || tally.answers - written.answers >= 64 {
        written = tally
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
    if part == "plain" {
      try PeersParty.plainHead(at: address, keyFile: folder)
    } else if part == "head" {
      try PeersParty.head(of: count, at: address, keyFile: folder)
    } else {
      try PeersParty.hold(
        count, from: first, at: address, key: Base32.decode(key) ?? [], tally: folder)
    }
  }
}
