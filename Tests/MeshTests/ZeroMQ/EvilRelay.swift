import CZeroMQ
import Foundation
import IorunCore
import IorunWire
import Synchronization
import TestSupport

@testable import IorunMesh

/// A relay on real sockets that means harm: peers dial it as they dial a head, and of the packets that
/// they send each other it drops, holds back, reorders, repeats and edits as many as it likes.
final class EvilRelay: Sendable {
  /// What it does to one of so many packets.
  enum Mischief: CaseIterable {
    case drop, delay, swap, replay, edit
  }

  /// What it did.
  struct Tally {
    var passed = 0
    var done: [Mischief: Int] = [:]
    /// All bytes that it was given to carry.
    var seen: [[UInt8]] = []
  }

  let key: CurveKey
  let address: String
  private let state = Mutex(Tally())
  private let isOver = Mutex(false)
  private let ended = DispatchSemaphore(value: 0)

  var tally: Tally { state.withLock { $0 } }

  /// - Parameter outOf: of so many packets one is dropped, one held back, and so on.
  init(admitting peers: [CurveKey], seed: UInt64, outOf chance: Int) throws {
    key = try CurveKey()
    let known = Dictionary(uniqueKeysWithValues: peers.map { ($0.publicKey, $0.peer) })
    let authenticator = try Authenticator.shared.get()
    let domain = authenticator.register { known[$0] }
    let socket = try HardenedSocket.listener(identity: key, domain: domain, security: .curve)
    try socket.bind("tcp://127.0.0.1:0")
    address = socket.lastEndpoint
    let names = Dictionary(uniqueKeysWithValues: peers.map { ("\($0.peer)", $0.peer) })
    // The socket moves to the thread for good.
    nonisolated(unsafe) let owned = socket
    Thread.detachNewThread { [self] in
      serve(owned, names: names, random: SeededGenerator(seed: seed), chance: chance)
      owned.close()
      authenticator.unregister(domain)
      ended.signal()
    }
  }

  func stop() {
    isOver.withLock { $0 = true }
    ended.wait()
  }

  private func serve(
    _ socket: ZMQSocket, names: [String: PeerID], random: SeededGenerator, chance: Int
  ) {
    var random = random
    var routes: [PeerID: [UInt8]] = [:]
    var held: [(due: ContinuousClock.Instant, packet: Packet)] = []
    var old: [Packet] = []
    func send(_ frame: Frame, to route: [UInt8]) {
      var bytes: [UInt8] = []
      FrameCodec.append(frame, to: &bytes)
      _ = socket.send(route, more: true) && socket.send(bytes)
    }
    func pass(_ packet: Packet) {
      if let route = routes[packet.destination] { send(.packet(packet), to: route) }
    }
    func meddle(_ packet: Packet) {
      let die = Int.random(in: 0..<chance, using: &random)
      let mischief = Mischief.allCases.indices.contains(die) ? Mischief.allCases[die] : nil
      state.withLock { tally in
        tally.passed += 1
        if let mischief { tally.done[mischief, default: 0] += 1 }
        if case .sealed(_, let content) = packet.kind { tally.seen.append(content) }
      }
      if old.count < 512 { old.append(packet) }
      let now = ContinuousClock.now
      switch mischief {
      case nil: pass(packet)
      case .drop: return
      case .delay: held.append((now + .milliseconds(60), packet))
      case .swap: held.append((now, packet))
      case .replay:
        pass(packet)
        pass(packet)
        if let again = old.randomElement(using: &random) { pass(again) }
      case .edit: pass(Self.edited(packet, using: &random))
      }
    }
    while !isOver.withLock({ $0 }) {
      var items = [
        zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
      ]
      zmq_poll(&items, 1, 5)
      while let parts = socket.receive(partLimit: 3) {
        guard parts.count >= 2, let peer = parts[1].userID.flatMap({ names[$0] }),
          let frames = try? parts[1].bytes.withUnsafeBytes({
            try FrameCodec.decode($0, tail: parts.count > 2 ? parts[2].bytes : nil)
          })
        else { continue }
        for frame in frames {
          switch frame {
          case .hello(let version, let release, let connection, _, _, _, _):
            routes[peer] = parts[0].bytes
            send(
              .welcome(protocolVersion: version, release: release, connection: connection),
              to: parts[0].bytes)
          case .ping(let token): send(.pong(token: token), to: parts[0].bytes)
          case .packet(let packet): meddle(packet)
          case .welcome, .refusal, .pong: continue
          }
        }
      }
      let now = ContinuousClock.now
      for each in held where each.due <= now { pass(each.packet) }
      held.removeAll { $0.due <= now }
    }
  }

  private static func edited(_ packet: Packet, using random: inout SeededGenerator) -> Packet {
    var packet = packet
    switch Int.random(in: 0..<4, using: &random) {
    case 0: packet.sourceIncarnation ^= 1 << UInt64.random(in: 0..<64, using: &random)
    case 1: packet.destinationIncarnation ^= 1 << UInt64.random(in: 0..<64, using: &random)
    default:
      if case .sealed(let counter, var content) = packet.kind, !content.isEmpty {
        let byte = Int.random(in: content.indices, using: &random)
        content[byte] ^= UInt8.random(in: 1...255, using: &random)
        packet.kind = .sealed(counter: counter, content: content)
      }
    }
    return packet
  }
}
