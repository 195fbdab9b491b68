import IorunCore
import TestSupport
import Testing

@testable import IorunPath

/// What stands before a host in a test.
enum NATKind: String, CaseIterable, Sendable {
  case none, fullCone, addressRestricted, portRestricted, linux, symmetric, carrier

  func add(_ number: UInt8, to world: inout SimulatedInternet) {
    var host = SimulatedInternet.Host(
      address: SocketAddress(v4: 192, 168, number, 2, port: 41_414))
    func nat(
      _ outside: [UInt8], _ mapping: SimulatedNAT.Mapping, _ filter: SimulatedNAT.Filtering,
      clashes: Bool = false
    ) {
      var nat = SimulatedNAT(outside: outside, mapping, filter)
      nat.clashes = clashes
      world.nats.append(nat)
      host.nats.append(world.nats.count - 1)
    }
    let outside: [UInt8] = [203, 0, 113, number]
    switch self {
    case .none: host.address = SocketAddress(v4: 203, 0, 113, number, port: 41_414)
    case .fullCone: nat(outside, .endpointIndependent, .anybody)
    case .addressRestricted: nat(outside, .endpointIndependent, .address)
    case .portRestricted: nat(outside, .endpointIndependent, .addressAndPort)
    case .linux: nat(outside, .endpointIndependent, .addressAndPort, clashes: true)
    case .symmetric: nat(outside, .perDestination, .addressAndPort)
    case .carrier:
      nat([100, 64, number, 1], .endpointIndependent, .addressAndPort, clashes: true)
      nat(outside, .endpointIndependent, .addressAndPort, clashes: true)
    }
    world.hosts.append(host)
  }

  /// Whether two of these can meet without guessing ports.
  static func meet(_ one: NATKind, _ other: NATKind) -> Bool {
    let hard: Set<NATKind> = [.symmetric]
    let strict: Set<NATKind> = [.portRestricted, .linux, .carrier, .symmetric]
    return !(hard.contains(one) && strict.contains(other))
      && !(hard.contains(other) && strict.contains(one))
  }
}

@Suite("The search for a path")
struct PathMachineTests {
  static let pairs = NATKind.allCases.flatMap { one in NATKind.allCases.map { (one, $0) } }

  private func world(_ one: NATKind, _ other: NATKind, seed: UInt64) -> SimulatedInternet {
    var world = SimulatedInternet(seed: seed)
    one.add(1, to: &world)
    other.add(2, to: &world)
    return world
  }

  @Test("every pair that can meet does so in two seconds, whatever the delay", arguments: pairs)
  func meeting(_ pair: (NATKind, NATKind)) {
    guard NATKind.meet(pair.0, pair.1) else { return }
    for seed in 0..<3 as Range<UInt64> {
      var world = world(pair.0, pair.1, seed: seed)
      world.delay = .milliseconds([1, 20, 100, 150][Int(seed + 1)])
      world.start()
      world.run(.seconds(4)) { $0.isDirect }
      #expect(world.isDirect, "\(pair), seed \(seed)")
      #expect(world.ways.allSatisfy { $0.first == .some(.relay) }, "data begins on the relay")
    }
  }

  @Test("two symmetric NATs stay on the relay, and are tried ever more seldom")
  func symmetric() {
    var world = world(.symmetric, .symmetric, seed: 1)
    world.start()
    world.run(.seconds(600))
    #expect(world.ways == [[.relay], [.relay]])
    let sent = world.sent
    world.run(.seconds(600))
    #expect(world.sent - sent < 1500)
  }

  @Test("pings that arrive too early spoil Linux's NAT: with a full time to live they never meet")
  func earlyPings() {
    var world = world(.linux, .linux, seed: 3)
    // No hop dies on the way: what was to open the near NAT alone reaches the far one.
    world.coreHops = 0
    world.start()
    world.run(.milliseconds(1500)) { $0.isDirect }
    #expect(!world.isDirect)
  }

  @Test("a lossy way is found as well", arguments: 0..<10 as Range<UInt64>)
  func lossy(_ seed: UInt64) {
    var world = world(.linux, .portRestricted, seed: seed)
    world.loss = 0.2
    world.start()
    world.run(.seconds(120)) { $0.isDirect }
    #expect(world.isDirect)
  }

  @Test(
    "a relay that drops, repeats, delays and reorders cannot keep two from meeting",
    arguments: 0..<10 as Range<UInt64>)
  func hostileRelay(_ seed: UInt64) {
    var world = world(.linux, .portRestricted, seed: seed)
    world.relayIsHostile = true
    world.start()
    world.run(.seconds(200)) { $0.isDirect }
    #expect(world.isDirect)
    // The only addresses in use are those that the other end has answered from.
    #expect(world.machines[0].current == .direct(SocketAddress(v4: 203, 0, 113, 2, port: 41_414)))
  }

  @Test("a way that is cut is given up for the relay within the trust time, and found again")
  func cut() {
    var world = world(.portRestricted, .linux, seed: 5)
    world.start()
    world.run(.seconds(4)) { $0.isDirect }
    #expect(world.isDirect)
    world.run(.seconds(30))
    #expect(world.isDirect, "heartbeats keep it")
    world.directIsCut = true
    let cutAt = world.now
    world.run(.seconds(20)) { !$0.machines[0].isDirect && !$0.machines[1].isDirect }
    #expect(!world.isDirect)
    #expect(world.now - cutAt <= .milliseconds(6500))
    world.run(.seconds(10))
    world.directIsCut = false
    world.run(.seconds(70)) { $0.isDirect }
    #expect(world.isDirect)
  }

  @Test("a host that moves to another network is found there")
  func roaming() {
    var world = world(.portRestricted, .fullCone, seed: 6)
    world.start()
    world.run(.seconds(4)) { $0.isDirect }
    world.hosts[1].nats = [world.nats.count]
    world.nats.append(
      SimulatedNAT(outside: [198, 51, 100, 7], .endpointIndependent, .addressAndPort))
    world.hosts[1].address = SocketAddress(v4: 10, 0, 0, 9, port: 41_414)
    let (mapped, natClass) = world.mapped(1)
    let own = [Candidate(.host, world.hosts[1].address), Candidate(.mapped, mapped)]
    world.step(1) { machine, now, actions in
      machine.setOwn(own, natClass: natClass, now: now, into: &actions)
    }
    world.run(.seconds(10)) {
      $0.machines[0].current == .direct(mapped) && $0.machines[1].isDirect
    }
    #expect(world.machines[0].current == .direct(mapped))
  }

  @Test("two hosts of one LAN use their own addresses, hairpin or not", arguments: [true, false])
  func lan(_ hairpins: Bool) {
    var world = world(.linux, .linux, seed: 7)
    world.hosts[1].nats = world.hosts[0].nats
    world.hosts[1].address = SocketAddress(v4: 192, 168, 1, 3, port: 41_414)
    world.nats[0].hairpins = hairpins
    world.start()
    world.run(.seconds(4)) { $0.isDirect }
    #expect(world.machines[0].current == .direct(world.hosts[1].address))
    #expect(world.machines[1].current == .direct(world.hosts[0].address))
  }

  @Test("blocked UDP stays on the relay")
  func blocked() {
    var world = world(.none, .none, seed: 8)
    world.hosts[0].udpBlocked = true
    world.start()
    world.run(.seconds(60))
    #expect(world.ways == [[.relay], [.relay]])
  }

  @Test("a pong that answers nothing, or by another way, changes nothing")
  func forged() {
    var machine = PathMachine(isCaller: true, expectsRelay: false, seed: 9)
    var actions: [PathMachine.Action] = []
    let there = SocketAddress(v4: 198, 51, 100, 1, port: 5)
    machine.learn([Candidate(.mapped, there)], natClass: .cone, now: .zero, into: &actions)
    guard case .send(.ping(let transaction), _, _)? = actions.first else {
      Issue.record("no ping in \(actions)")
      return
    }
    actions = []
    let elsewhere = SocketAddress(v4: 198, 51, 100, 2, port: 5)
    machine.receive(
      .pong(transaction: transaction, observed: nil), by: .direct(elsewhere), now: .zero,
      into: &actions)
    machine.receive(
      .pong(transaction: transaction &+ 1, observed: nil), by: .direct(there), now: .zero,
      into: &actions)
    #expect(actions.isEmpty)
    #expect(machine.current == nil)
  }

  @Test("the memory of a machine is bounded, whoever sends what", arguments: 0..<3 as Range<UInt64>)
  func bounded(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var machine = PathMachine(isCaller: false, expectsRelay: false, seed: seed)
    var actions: [PathMachine.Action] = []
    for step in 0..<1000 {
      let address = SocketAddress(
        address: random.bytes(4), port: .random(in: 1...9, using: &random))
      let way = address.map { PathMachine.Way.direct($0) } ?? .relay
      let message: DiscoMessage =
        switch Int.random(in: 0..<3, using: &random) {
        case 0: .ping(transaction: random.next())
        case 1: .pong(transaction: random.next(), observed: address)
        default:
          .call(
            round: .random(in: 0...9, using: &random), isAnswer: .random(using: &random),
            natClass: .symmetric, candidates: address.map { [Candidate(.mapped, $0)] } ?? [])
        }
      actions = []
      let now = Duration.milliseconds(step)
      machine.receive(message, by: way, now: now, into: &actions)
      machine.tick(now: now, into: &actions)
      #expect(actions.count < 128)
    }
    #expect(machine.remotes.count <= PathMachine.remoteLimit)
    #expect(machine.pending.count <= PathMachine.pendingLimit)
  }
}
