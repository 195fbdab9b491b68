import IorunCore
import IorunWire

@testable import IorunMesh

extension MonotonicTime {
  static func + (time: MonotonicTime, milliseconds: Int) -> MonotonicTime {
    time + .milliseconds(milliseconds)
  }
}

extension PeerID {
  static let anna = PeerID(high: 1, low: 100)
  static let bert = PeerID(high: 2, low: 200)
  static let carl = PeerID(high: 3, low: 300)
  static let head = PeerID(high: 9, low: 900)
  static let node = PeerID(high: 8, low: 800)
}

extension Packet {
  /// The payload's number, where the packet carries one.
  var sequence: UInt64? {
    if case .data(let sequence, _) = kind { return sequence }
    return nil
  }
}

/// One end of a conversation: a session, what it wanted sent, and what came of it.
struct SessionEnd {
  var session: Session
  var outgoing: [Packet] = []
  var delivered: [[UInt8]] = []
  var freed = 0
  var lost: IorunError?

  init(_ local: PeerID, _ remote: PeerID, incarnation: UInt64, now: MonotonicTime) {
    session = Session(local: local, remote: remote, incarnation: incarnation, now: now)
  }

  mutating func step(_ step: (inout Session, inout [Session.Action]) -> Void) {
    var actions: [Session.Action] = []
    step(&session, &actions)
    for action in actions {
      switch action {
      case .transmit(let packet): outgoing.append(packet)
      case .deliver(_, let payload): delivered.append(payload)
      case .freed(let count): freed += count
      case .lost(let error): lost = error
      }
    }
  }

  mutating func takeOutgoing() -> [Packet] {
    defer { outgoing = [] }
    return outgoing
  }
}

/// Two sessions that talk, on a clock that the test moves. What is on its way is seen, and may be
/// lost.
struct SessionPair {
  var now = MonotonicTime(nanoseconds: 0)
  var anna: SessionEnd
  var bert: SessionEnd

  init() {
    anna = SessionEnd(.anna, .bert, incarnation: 11, now: now)
    bert = SessionEnd(.bert, .anna, incarnation: 22, now: now)
  }

  /// Two sessions that know each other.
  static func established() -> SessionPair {
    var pair = SessionPair()
    pair.tick()
    pair.exchange()
    return pair
  }

  mutating func send(_ payload: [UInt8], in trafficClass: TrafficClass = .actor) {
    let now = now
    anna.step { $0.send([payload], in: trafficClass, now: now, into: &$1) }
  }

  mutating func answer(_ payload: [UInt8]) {
    let now = now
    bert.step { $0.send([payload], in: .actor, now: now, into: &$1) }
  }

  mutating func tick() {
    let now = now
    anna.step { $0.tick(now: now, into: &$1) }
    bert.step { $0.tick(now: now, into: &$1) }
  }

  mutating func wait(_ interval: Duration) {
    now = now + interval
    tick()
  }

  mutating func toBert(_ packets: [Packet]) {
    let now = now
    for packet in packets { bert.step { $0.receive(packet, now: now, into: &$1) } }
  }

  mutating func toAnna(_ packets: [Packet]) {
    let now = now
    for packet in packets { anna.step { $0.receive(packet, now: now, into: &$1) } }
  }

  /// Carries packets until none is on its way.
  mutating func exchange() {
    while !anna.outgoing.isEmpty || !bert.outgoing.isEmpty {
      toBert(anna.takeOutgoing())
      toAnna(bert.takeOutgoing())
    }
  }
}
