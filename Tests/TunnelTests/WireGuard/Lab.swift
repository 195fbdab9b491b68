import CTunnel
import IorunCore
import IorunCrypto
import Synchronization
import TestSupport

@testable import IorunTunnel

/// One end of a tunnel in memory: the machine, and what C does with its keys, on a clock that the
/// test moves.
final class LabEnd {
  struct Keys {
    var session: WireGuardSession
    var counter: UInt64 = 0
    var window = ct_replay()
  }

  var machine: WireGuardMachine
  let key: TunnelPrivateKey
  var current: Keys?
  var previous: Keys?
  var next: Keys?
  var traffic = WireGuardTraffic()
  /// Where the other end is, as this one knows.
  var endpoint: TunnelEndpoint?
  var roams = true
  var keepalives = 0
  var erasures = 0
  var drops = 0

  init(seed: UInt64) throws {
    let dice = Mutex(SeededGenerator(seed: seed))
    key = try TunnelPrivateKey(bytes: dice.withLock { $0.bytes(32) }) ?? TunnelPrivateKey()
    machine = try WireGuardMachine(key: key) { count in dice.withLock { $0.bytes(count) } }
  }

  /// The other end as this one sees it is always number 0.
  func meet(
    _ other: LabEnd, psk: TunnelPresharedKey? = nil, keepalive: Duration? = nil,
    startsHandshakes: Bool = true
  ) throws {
    try machine.set(
      TunnelPeer(
        publicKey: other.key.publicKey, presharedKey: psk, allowedIPs: [], keepalive: keepalive,
        startsHandshakes: startsHandshakes),
      number: 0)
  }
}

/// Two ends and a wire between them that a test can cut, and on which it can listen.
final class Lab {
  let one: LabEnd
  let other: LabEnd
  let places: [TunnelEndpoint]
  var now: Duration = .seconds(1000)
  /// Runs apart from `now` where the test wants it to.
  var wallClock: Duration = .seconds(1_790_000_000)
  var isUnderLoad = false
  /// What was sent and not lost, oldest first.
  var wire: [(bytes: [UInt8], from: Int)] = []
  /// All that was ever sent.
  var sent: [(bytes: [UInt8], from: Int)] = []
  /// Which messages are lost.
  var loses: (_ bytes: [UInt8], _ from: Int) -> Bool = { _, _ in false }
  /// What came out of the tunnel.
  var received: [[UInt8]] = []

  init(seed: UInt64 = 1) throws {
    one = try LabEnd(seed: seed)
    other = try LabEnd(seed: seed + 1000)
    places = [1, 2].map {
      TunnelEndpoint(SocketAddress(v4: 10, 0, 0, UInt8($0), port: 51820))
    }
    one.endpoint = places[1]
    other.endpoint = places[0]
    try one.meet(other)
    try other.meet(one)
  }

  func end(_ number: Int) -> LabEnd { number == 0 ? one : other }

  /// Passes time in steps, with what is due at each.
  func pass(_ time: Duration, step: Duration = .milliseconds(500)) {
    let target = now + time
    while now < target {
      now += step
      wallClock += step
      for number in 0...1 {
        let end = end(number)
        perform(
          end.machine.tick(now: now, wallClock: wallClock) { _ in end.traffic }, number)
      }
      deliver()
    }
  }

  /// Delivers what is on the wire until nothing is.
  func deliver() {
    var rounds = 0
    while !wire.isEmpty, rounds < 1000 {
      rounds += 1
      let message = wire.removeFirst()
      arrive(message.bytes, at: 1 - message.from, from: places[message.from])
    }
  }

  func arrive(_ bytes: [UInt8], at number: Int, from source: TunnelEndpoint) {
    if bytes.first == 4 {
      open(bytes, at: number, from: source)
    } else {
      perform(
        end(number).machine.receive(
          bytes, from: source, isUnderLoad: isUnderLoad, now: now), number)
    }
  }

  func perform(_ actions: [WireGuardAction], _ number: Int) {
    let end = end(number)
    for action in actions {
      switch action {
      case .answer(let bytes, _): put(bytes, from: number)
      case .send(let bytes, _): if end.endpoint != nil { put(bytes, from: number) }
      case .install(let session, _):
        if session.isInitiator {
          end.previous = end.next ?? end.current
          end.next = nil
          end.current = LabEnd.Keys(session: session)
          send([], from: number)
        } else {
          end.next = LabEnd.Keys(session: session)
          end.previous = nil
        }
      case .follow(let endpoint, _): if end.roams { end.endpoint = endpoint }
      case .keepalive:
        end.keepalives += 1
        send([], from: number)
      case .eraseKeys:
        end.erasures += 1
        end.current = nil
        end.previous = nil
        end.next = nil
      case .dropWaiting: end.drops += 1
      }
    }
  }

  private func put(_ bytes: [UInt8], from number: Int) {
    sent.append((bytes, number))
    if !loses(bytes, number) { wire.append((bytes, number)) }
  }

  // MARK: data

  /// Sends a packet as C would: with the present key, or else asking for one. False: it had none.
  @discardableResult
  func send(_ payload: [UInt8], from number: Int) -> Bool {
    let end = end(number)
    let isUsable =
      end.current.map { now - $0.session.created < WireGuardTimes.rejectAfter } ?? false
    guard isUsable, let keys = end.current else {
      perform(end.machine.wantKey(0, now: now, wallClock: wallClock), number)
      return false
    }
    let nonce = Self.nonce(keys.counter)
    let sealed = keys.session.send.withBytes { key in
      (try? ChaCha20Poly1305.seal(payload, key: Array(key), nonce: nonce)) ?? []
    }
    let counter = (0..<8).map { UInt8(truncatingIfNeeded: keys.counter >> UInt64(8 * $0)) }
    end.current?.counter += 1
    end.traffic.sent = now
    if !payload.isEmpty { end.traffic.dataSent = now }
    put([4, 0, 0, 0] + keys.session.remoteIndex.wire + counter + sealed, from: number)
    if keys.session.isInitiator, now - keys.session.created >= WireGuardTimes.rekeyAfter {
      perform(end.machine.wantKey(0, now: now, wallClock: wallClock), number)
    }
    return true
  }

  private func open(_ bytes: [UInt8], at number: Int, from source: TunnelEndpoint) {
    let end = end(number)
    let index = UInt32(wire: bytes[4..<8])
    let slots: [ReferenceWritableKeyPath<LabEnd, LabEnd.Keys?>] = [\.current, \.previous, \.next]
    guard let slot = slots.first(where: { end[keyPath: $0]?.session.localIndex == index }),
      var keys = end[keyPath: slot], now - keys.session.created < WireGuardTimes.rejectAfter
    else { return }
    let counter = bytes[8..<16].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let opened = keys.session.receive.withBytes { key in
      ChaCha20Poly1305.open(bytes[16...], key: Array(key), nonce: Self.nonce(counter))
    }
    guard let body = opened, ct_replay_accept(&keys.window, counter) else { return }
    end[keyPath: slot] = keys
    end.traffic.received = now
    if end.roams { end.endpoint = source }
    if slot == \LabEnd.next {
      end.previous = end.current
      end.current = keys
      end.next = nil
    }
    guard !body.isEmpty else { return }
    end.traffic.dataReceived = now
    received.append(body)
  }

  private static func nonce(_ counter: UInt64) -> [UInt8] {
    [0, 0, 0, 0] + (0..<8).map { UInt8(truncatingIfNeeded: counter >> UInt64(8 * $0)) }
  }

  // MARK: what was sent

  /// How many messages of a type an end has sent.
  func count(_ type: UInt8, from number: Int) -> Int {
    sent.count { $0.bytes.first == type && $0.from == number }
  }
}
