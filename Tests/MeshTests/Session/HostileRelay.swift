import IorunCore
import IorunWire

@testable import IorunMesh

/// Anna and bert, who only meet through a relay, which does with their packets what a test wants.
struct HostileRelay {
  struct Person {
    let key: CurveKey
    let instance: UInt64
    var address: PeerID { MeshInstance.address(of: instance, of: key.peer) }

    init(instance: UInt64 = MeshInstance.only) throws {
      key = try CurveKey()
      self.instance = instance
    }

    func engine(incarnation: UInt64) throws -> MeshEngine {
      MeshEngine(
        local: address, incarnation: incarnation, uplink: .head,
        identity: try MeshIdentity(key, instance: instance))
    }
  }

  let anna: Person
  let bert: Person
  var now = MonotonicTime(nanoseconds: 0)
  var engines: [PeerID: MeshEngine] = [:]
  var onTheWay: [Packet] = []
  /// All that the relay ever saw.
  var seen: [Packet] = []
  var delivered: [PeerID: [[UInt8]]] = [:]
  var principals: [PeerID: PeerID] = [:]
  var lost: [PeerID: [IorunError]] = [:]
  /// What the relay makes of the packets that are on their way.
  var meddle: ([Packet]) -> [Packet] = { $0 }

  init(annaInstance: UInt64 = MeshInstance.only) throws {
    anna = try Person(instance: annaInstance)
    bert = try Person()
    try start(anna, incarnation: 1000)
    try start(bert, incarnation: 2000)
  }

  /// Starts a process, or starts it anew.
  mutating func start(_ person: Person, incarnation: UInt64) throws {
    engines[person.address] = try person.engine(incarnation: incarnation)
    perform(person.address) { [now] in $0.linkUp(1, peer: .head, now: now, into: &$1) }
  }

  mutating func send(_ payload: [UInt8], from sender: Person, to receiver: Person) {
    perform(sender.address) { [now] in
      $0.send(payload, to: receiver.address, in: .actor, now: now, into: &$1)
    }
  }

  /// Carries what is on its way, again and again, but not for ever.
  mutating func carry(turns: Int = 50) {
    for _ in 0..<turns where !onTheWay.isEmpty {
      for packet in meddle(onTheWay.take()) { inject(packet) }
    }
  }

  /// The relay sends a packet to its destination.
  mutating func inject(_ packet: Packet) {
    perform(packet.destination) { [now] in $0.receive(packet, over: 1, now: now, into: &$1) }
  }

  mutating func wait(_ interval: Duration, step: Duration = .milliseconds(50)) {
    let end = now + interval
    while now < end {
      now = now + step
      for peer in engines.keys { perform(peer) { [now] in $0.tick(now: now, into: &$1) } }
      carry()
    }
  }

  private mutating func perform(
    _ peer: PeerID, _ step: (inout MeshEngine, inout [MeshEngine.Action]) -> Void
  ) {
    guard var engine = engines.removeValue(forKey: peer) else { return }
    var actions: [MeshEngine.Action] = []
    step(&engine, &actions)
    for action in actions {
      switch action {
      case .transmit(_, let packet):
        onTheWay.append(packet)
        seen.append(packet)
      case .deliver(let sender, let trafficClass, let payload):
        delivered[peer, default: []].append(payload)
        engine.consumed(payload.count, from: sender, in: trafficClass, now: now)
      case .freed: break
      case .peerLost(_, let error): lost[peer, default: []].append(error)
      case .identified(let address, let principal): principals[address] = principal
      }
    }
    engines[peer] = engine
  }
}
