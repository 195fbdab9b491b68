import IorunCore
import TestSupport

@testable import IorunPath

/// A NAT as a value: which outside port stands for which inside one, and whom it lets in.
struct SimulatedNAT {
  enum Mapping { case endpointIndependent, perDestination }
  enum Filtering { case anybody, address, addressAndPort }

  var outside: [UInt8]
  var mapping: Mapping
  var filtering: Filtering
  /// Sends back what an inside host sends to the outside address.
  var hairpins = false
  /// As Linux's conntrack: a datagram from outside that meets no mapping leaves an entry, with which
  /// an own mapping to the same place then clashes and gets another port.
  var clashes = false

  struct Key: Hashable {
    var inside: SocketAddress
    var destination: SocketAddress?
  }
  var ports: [Key: UInt16] = [:]
  var owners: [UInt16: SocketAddress] = [:]
  var contacts: [UInt16: Set<SocketAddress>] = [:]
  var strangers: [[SocketAddress]: Duration] = [:]
  /// The time, for entries that end.
  var now = Duration.zero
  var nextPort: UInt16 = 20_000

  init(outside: [UInt8], _ mapping: Mapping, _ filtering: Filtering) {
    self.outside = outside
    self.mapping = mapping
    self.filtering = filtering
  }

  /// The source that the outside sees.
  mutating func leave(
    _ inside: SocketAddress, to destination: SocketAddress, _ random: inout SeededGenerator
  ) -> SocketAddress {
    var key = Key(
      inside: inside, destination: mapping == .perDestination ? destination : nil)
    if ports[key] == nil {
      var wish =
        mapping == .perDestination ? UInt16.random(in: 1024 ... .max, using: &random) : inside.port
      while owners[wish] != nil { wish = UInt16.random(in: 1024 ... .max, using: &random) }
      ports[key] = wish
      owners[wish] = inside
    }
    var port = ports[key] ?? 0
    if clashes, let end = strangers[[destination, address(port)]], end > now {
      // This destination alone gets another port.
      key.destination = destination
      if ports[key] == nil {
        var other = UInt16.random(in: 1024 ... .max, using: &random)
        while owners[other] != nil { other = UInt16.random(in: 1024 ... .max, using: &random) }
        ports[key] = other
        owners[other] = inside
      }
      port = ports[key] ?? 0
    }
    contacts[port, default: []].insert(destination)
    return address(port)
  }

  /// The inside host that gets it; `nil`: nobody.
  mutating func enter(_ source: SocketAddress, to outsidePort: UInt16) -> SocketAddress? {
    guard let owner = owners[outsidePort] else {
      strangers[[source, address(outsidePort)]] = now + .seconds(30)
      return nil
    }
    let known = contacts[outsidePort] ?? []
    let isLetIn =
      switch filtering {
      case .anybody: true
      case .address: known.contains { $0.address == source.address }
      case .addressAndPort: known.contains(source)
      }
    if !isLetIn { strangers[[source, address(outsidePort)]] = now + .seconds(30) }
    return isLetIn ? owner : nil
  }

  func address(_ port: UInt16) -> SocketAddress {
    SocketAddress(address: outside, port: port) ?? SocketAddress(v4: 0, 0, 0, 0, port: 0)
  }
}

/// Hosts behind chains of NATs, with delay and hops in between, and a relay between two of them.
struct SimulatedInternet {
  struct Host {
    var address: SocketAddress
    /// Innermost first.
    var nats: [Int] = []
    var udpBlocked = false
  }
  struct Event {
    var at: Duration
    var order: Int
    var host: Int
    var message: DiscoMessage
    var way: PathMachine.Way
  }

  var hosts: [Host] = []
  var nats: [SimulatedNAT] = []
  var delay = Duration.milliseconds(20)
  /// Hops between the outermost NATs.
  var coreHops = 8
  var loss = 0.0
  var random: SeededGenerator
  var now = Duration.seconds(1000)
  var events: [Event] = []
  var order = 0
  var machines: [PathMachine] = []
  var ways: [[PathMachine.Way?]] = [[], []]
  var sent = 0
  /// Hosts' UDP except the relay is cut.
  var directIsCut = false
  /// A relay that means harm: drops a part, sends things twice, late and in another order.
  var relayIsHostile = false
  /// The sockets that `spread` opened: their address, and whose.
  var spread: [SocketAddress: Int] = [:]

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// What a reflector would see, and the class.
  mutating func mapped(_ host: Int) -> (SocketAddress, NATClass) {
    let reflectors = [
      SocketAddress(v4: 9, 9, 9, 9, port: 7070), SocketAddress(v4: 9, 9, 9, 9, port: 9999),
    ]
    let seen = reflectors.map { leave(host, from: hosts[host].address, to: $0) }
    guard seen[0] == seen[1] else { return (seen[0], .symmetric) }
    if hosts[host].nats.isEmpty { return (seen[0], .open) }
    let filters = hosts[host].nats.map { nats[$0].filtering }
    return (seen[0], filters.contains(.addressAndPort) ? .portRestricted : .cone)
  }

  private mutating func leave(
    _ host: Int, from source: SocketAddress, to destination: SocketAddress
  ) -> SocketAddress {
    var seen = source
    for nat in hosts[host].nats { seen = nats[nat].leave(seen, to: destination, &random) }
    return seen
  }

  mutating func start(relay: Bool = true) {
    machines = [
      PathMachine(isCaller: true, expectsRelay: relay, seed: random.next()),
      PathMachine(isCaller: false, expectsRelay: relay, seed: random.next()),
    ]
    for host in 0..<2 {
      let (mapped, natClass) = self.mapped(host)
      let own = [Candidate(.host, hosts[host].address), Candidate(.mapped, mapped)]
      step(host) { machine, now, actions in
        machine.setOwn(own, natClass: natClass, now: now, into: &actions)
        if relay { machine.setRelay(isUp: true, now: now, into: &actions) }
      }
    }
  }

  mutating func step(
    _ host: Int, _ body: (inout PathMachine, Duration, inout [PathMachine.Action]) -> Void
  ) {
    var actions: [PathMachine.Action] = []
    var machine = machines[host]
    body(&machine, now, &actions)
    machines[host] = machine
    for action in actions { carryOut(action, host) }
  }

  private mutating func carryOut(_ action: PathMachine.Action, _ host: Int) {
    switch action {
    case .use(let way): ways[host].append(way)
    case .send(let message, .relay, _):
      guard relayIsHostile else {
        post(1 - host, message, .relay, after: delay * 3 / 2)
        return
      }
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let late = Duration.milliseconds(Int.random(in: 0...1500, using: &random))
        post(1 - host, message, .relay, after: delay + late)
      }
    case .send(let message, .direct(let address), let timeToLive):
      // A spread socket is a way of its own: its datagrams leave from there.
      let through = spread.first { $0.value == host && $0.key == address }
      _ = through
      send(message, host, from: hosts[host].address, to: address, timeToLive ?? 64)
    case .spread(let target):
      for index in 0..<256 {
        let socket = hosts[host].address.with(port: UInt16(40_000 + index))
        spread[socket] = host
        send(.ping(transaction: 0), host, from: socket, to: target, 4)
      }
    }
  }

  private mutating func send(
    _ message: DiscoMessage, _ host: Int, from source: SocketAddress, to address: SocketAddress,
    _ timeToLive: Int
  ) {
    sent += 1
    guard !directIsCut, !hosts[host].udpBlocked else { return }
    // The same LAN: both behind the same innermost NAT.
    if let other = hosts.firstIndex(where: { $0.address == address }), other != host {
      if hosts[other].nats == hosts[host].nats {
        post(other, message, .direct(source), after: .milliseconds(1))
        return
      }
      if !hosts[other].nats.isEmpty { return }
    }
    var seen = source
    var hops = timeToLive
    for nat in hosts[host].nats {
      hops -= 1
      guard hops > 0 else { return }
      seen = nats[nat].leave(seen, to: address, &random)
      if nats[nat].outside == address.address {
        guard nats[nat].hairpins, let inside = nats[nat].enter(seen, to: address.port),
          let other = hosts.firstIndex(where: { $0.address == inside })
        else { return }
        post(other, message, .direct(seen), after: .milliseconds(1))
        return
      }
    }
    guard hops > coreHops || hosts[host].nats.isEmpty && hops > coreHops else { return }
    arrive(message, from: seen, at: address)
  }

  private mutating func arrive(
    _ message: DiscoMessage, from source: SocketAddress, at address: SocketAddress
  ) {
    var destination = address
    while let nat = nats.firstIndex(where: { $0.outside == destination.address }) {
      guard let inside = nats[nat].enter(source, to: destination.port) else { return }
      destination = inside
    }
    if let owner = spread[destination] {
      // The shim hands it over as from itself, and sends what comes to it out of that socket.
      post(owner, message, .direct(source), after: delay)
      return
    }
    guard let host = hosts.firstIndex(where: { $0.address == destination }),
      !hosts[host].udpBlocked
    else { return }
    post(host, message, .direct(source), after: delay)
  }

  private mutating func post(
    _ host: Int, _ message: DiscoMessage, _ way: PathMachine.Way, after delay: Duration
  ) {
    if loss > 0, Double.random(in: 0..<1, using: &random) < loss { return }
    order += 1
    events.append(Event(at: now + delay, order: order, host: host, message: message, way: way))
  }

  /// Runs until `limit` has passed or `condition` holds.
  mutating func run(
    _ limit: Duration, until condition: (SimulatedInternet) -> Bool = { _ in false }
  ) {
    let end = now + limit
    while !condition(self) {
      let arrival = events.min { ($0.at, $0.order) < ($1.at, $1.order) }
      let due = machines.compactMap(\.deadline).min()
      guard let next = [arrival?.at, due].compactMap({ $0 }).min(), next <= end else {
        now = end
        return
      }
      now = max(now, next)
      for nat in nats.indices { nats[nat].now = now }
      if let arrival, arrival.at <= now {
        events.removeAll { $0.order == arrival.order }
        step(arrival.host) { machine, now, actions in
          machine.receive(arrival.message, by: arrival.way, now: now, into: &actions)
        }
      } else {
        for host in 0..<2 {
          step(host) { machine, now, actions in machine.tick(now: now, into: &actions) }
        }
      }
    }
  }

  var isDirect: Bool { machines.allSatisfy(\.isDirect) }
}
