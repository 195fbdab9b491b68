import Foundation
import IorunCore
import IorunWire
import Synchronization
import TestSupport

@testable import IorunMesh

/// A relay on a real socket that both ends trust to carry packets, and that means harm: it loses,
/// repeats, delays, reorders and edits what passes, and plays back what it saw long before. It has the
/// key that both dial, as a relay whose owner was bribed would.
final class HostileCarrier: Sendable {
  /// In how many of a hundred packets it meddles, in each of its ways.
  static let percent = 2

  /// What it did.
  struct Deeds: Sendable {
    var carried = 0
    var lost = 0
    var repeated = 0
    var reordered = 0
    var edited = 0
    /// Payloads that it could read.
    var readable = 0
  }

  let address: String
  let key: CurveKey
  private let deeds = Mutex(Deeds())
  private let isOver = Mutex(false)
  private let domain: String
  private let authenticator: Authenticator

  init(admitting keys: [CurveKey], seed: UInt64) throws {
    key = try CurveKey()
    authenticator = try Authenticator.shared.get()
    let peers = Dictionary(uniqueKeysWithValues: keys.map { ($0.publicKey, $0.peer) })
    domain = authenticator.register { peers[$0] }
    let socket = try HardenedSocket.listener(identity: key, domain: domain, security: .curve)
    try socket.bind("tcp://127.0.0.1:0")
    address = socket.lastEndpoint
    // The socket moves to the thread for good; starting a thread is a full memory barrier.
    nonisolated(unsafe) let owned = socket
    Thread.detachNewThread { [self] in serve(owned, seed) }
  }

  var done: Deeds { deeds.withLock { $0 } }

  func stop() {
    isOver.withLock { $0 = true }
    authenticator.unregister(domain)
  }

  private func serve(_ socket: ZMQSocket, _ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var routes: [PeerID: [UInt8]] = [:]
    var held: [Packet] = []
    var seen: [Packet] = []
    func chance() -> Bool { Int.random(in: 0..<100, using: &generator) < Self.percent }
    func send(_ frame: Frame, over route: [UInt8]) {
      var bytes: [UInt8] = []
      FrameCodec.append(frame, to: &bytes)
      _ = socket.send(route, more: true) && socket.send(bytes)
    }
    func forward(_ packet: Packet) {
      if let route = routes[packet.destination] { send(.packet(packet), over: route) }
    }
    func meddle(_ packet: Packet) {
      if case .data = packet.kind { deeds.withLock { $0.readable += 1 } }
      if seen.count < 200 { seen.append(packet) }
      if chance() { return deeds.withLock { $0.lost += 1 } }
      if chance() {
        // Comes after the next one.
        held.append(packet)
        return deeds.withLock { $0.reordered += 1 }
      }
      if chance() {
        forward(Self.edited(packet, &generator))
        return deeds.withLock { $0.edited += 1 }
      }
      forward(packet)
      deeds.withLock { $0.carried += 1 }
      for late in held.take() { forward(late) }
      if chance() {
        forward(packet)
        if let old = seen.randomElement(using: &generator) { forward(old) }
        deeds.withLock { $0.repeated += 1 }
      }
    }
    while !isOver.withLock({ $0 }) {
      guard let parts = socket.receive(partLimit: 3) else {
        usleep(500)
        continue
      }
      guard parts.count > 1, let userID = parts[1].userID, let peer = PeerID(userID),
        let frames = try? parts[1].bytes.withUnsafeBytes({
          try FrameCodec.decode($0, tail: parts.count > 2 ? parts[2].bytes : nil)
        })
      else { continue }
      for frame in frames {
        switch frame {
        case .hello(let version, _, let connection, _, _, _):
          routes[peer] = parts[0].bytes
          send(
            .welcome(protocolVersion: version, release: "x", connection: connection),
            over: parts[0].bytes)
        case .ping(let token): send(.pong(token: token), over: parts[0].bytes)
        case .packet(let packet): meddle(packet)
        case .welcome, .refusal, .pong: continue
        }
      }
    }
    socket.close()
  }

  private static func edited(
    _ packet: Packet, _ generator: inout SeededGenerator
  ) -> Packet {
    var packet = packet
    switch packet.kind {
    case .sealed(let counter, var content):
      if Bool.random(using: &generator), !content.isEmpty {
        content[Int.random(in: content.indices, using: &generator)] ^= 1
        packet.kind = .sealed(counter: counter, content: content)
      } else {
        packet.kind = .sealed(counter: counter ^ 1, content: content)
      }
    case .open, .accept:
      packet.greeting?.ephemeralKey[0] ^= 1
    case .data, .acknowledge, .reset, .unreachable:
      packet.sourceIncarnation ^= 1
    }
    return packet
  }
}
