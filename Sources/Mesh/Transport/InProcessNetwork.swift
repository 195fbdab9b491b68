public import IorunCore
public import IorunWire
internal import Synchronization

/// A mesh inside one process, for tests: the same sessions as on sockets, over links that can be cut
/// and that lose or duplicate packets by a seed, on a clock that the test moves.
///
/// Everybody is adjacent to everybody. What a call sets off is carried to its end before it returns,
/// except what waits for time: that runs in `advance`.
public final class InProcessNetwork: Sendable {
  private struct State {
    var engines: [PeerID: MeshEngine] = [:]
    var receivers: [PeerID: any TransportReceiver] = [:]
    var budgets: [PeerID: OutboundBudget] = [:]
    var now = MonotonicTime(nanoseconds: 0)
    var cut: Set<Pair> = []
    var inFlight: [(from: PeerID, to: PeerID, Packet)] = []
    var deliveries: [Delivery] = []
    var isRunning = false
    var faults = Faults(seed: 0, loss: 0, duplication: 0)
    var nextIncarnation: UInt64 = 1
  }

  private struct Pair: Hashable {
    let from: PeerID
    let to: PeerID
  }

  private enum Delivery {
    case payload(PeerID, InboundPayload)
    case lost(PeerID, PeerID, IorunError)
  }

  /// How unreliable the links are.
  public struct Faults: Sendable {
    /// The share of packets that are lost, from 0 to 1.
    public var loss: Double
    /// The share of packets that arrive twice, from 0 to 1.
    public var duplication: Double
    private var seed: UInt64

    /// Describes faults that are the same for the same seed.
    public init(seed: UInt64, loss: Double, duplication: Double) {
      self.seed = seed
      self.loss = loss
      self.duplication = duplication
    }

    /// How often the next packet arrives.
    mutating func copies() -> Int {
      if draw() < loss { return 0 }
      return draw() < duplication ? 2 : 1
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    private mutating func draw() -> Double {
      seed &+= 0x9e37_79b9_7f4a_7c15
      var value = seed
      value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
      return Double((value ^ (value >> 31)) >> 11) / Double(1 << 53)
    }
  }

  private let state = Mutex(State())

  /// Makes a network without peers.
  public init() {}

  /// Adds a peer, or restarts the one of that id as a new incarnation.
  public func join(_ peer: PeerID) -> InProcessEndpoint {
    state.withLock { state in
      let incarnation = state.nextIncarnation
      // Far enough apart for the sessions of one incarnation to be numbered.
      state.nextIncarnation += 1 << 32
      state.engines[peer] = MeshEngine(local: peer, incarnation: incarnation, uplink: nil)
      state.budgets[peer] = OutboundBudget()
      state.receivers[peer] = nil
      for other in state.engines.keys where other != peer {
        Self.link(peer, other, &state)
        Self.link(other, peer, &state)
      }
    }
    run()
    return InProcessEndpoint(network: self, localPeer: peer)
  }

  /// Sets how unreliable the links are from now on.
  public func setFaults(_ faults: Faults) { state.withLock { $0.faults = faults } }

  /// Cuts the link between two peers, or mends it.
  public func setCut(_ isCut: Bool, between one: PeerID, and other: PeerID) {
    state.withLock { state in
      for pair in [Pair(from: one, to: other), Pair(from: other, to: one)] {
        if isCut {
          state.cut.insert(pair)
        } else {
          state.cut.remove(pair)
          Self.link(pair.from, pair.to, &state)
        }
      }
    }
    run()
  }

  /// Moves the clock, in steps of 5 ms, and does what falls due.
  public func advance(by interval: Duration) {
    let step = Duration.milliseconds(5)
    var left = interval
    while left > .zero {
      state.withLock { state in
        state.now = state.now + min(step, left)
        for peer in state.engines.keys {
          var actions: [MeshEngine.Action] = []
          state.engines[peer]?.tick(now: state.now, into: &actions)
          Self.carryOut(actions, of: peer, &state)
        }
      }
      run()
      left -= step
    }
    let (now, receivers) = state.withLock { ($0.now, Array($0.receivers.values)) }
    for receiver in receivers { receiver.tick(now: now) }
  }

  /// Takes a peer off the network, as if its process had ended.
  public func leave(_ peer: PeerID) {
    state.withLock { state in
      state.engines[peer] = nil
      state.receivers[peer] = nil
    }
  }

  fileprivate func start(_ peer: PeerID, _ receiver: any TransportReceiver) {
    state.withLock { $0.receivers[peer] = receiver }
  }

  fileprivate func send(
    _ payload: [UInt8], from sender: PeerID, to peer: PeerID, in trafficClass: TrafficClass
  ) throws {
    try state.withLock { state in
      try state.budgets[sender]?.reserve(payload.count, for: peer)
      var actions: [MeshEngine.Action] = []
      state.engines[sender]?.send(
        payload, to: peer, in: trafficClass, now: state.now, into: &actions)
      Self.carryOut(actions, of: sender, &state)
    }
    run()
  }

  fileprivate func consumed(
    _ byteCount: Int, by receiver: PeerID, from peer: PeerID, in trafficClass: TrafficClass
  ) {
    state.withLock { state in
      state.engines[receiver]?.consumed(
        byteCount, from: peer, in: trafficClass, now: state.now)
    }
  }

  /// Carries packets until none is under way. Receivers are called without the lock, by one caller
  /// at a time, so that they may send and each sees its payloads in order.
  private func run() {
    let isMine = state.withLock { state in
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard isMine else { return }
    while true {
      let (deliveries, receivers) = state.withLock { state in
        Self.carryPackets(&state)
        let deliveries = state.deliveries.take()
        if deliveries.isEmpty { state.isRunning = false }
        return (deliveries, state.receivers)
      }
      if deliveries.isEmpty { return }
      for delivery in deliveries {
        switch delivery {
        case .payload(let peer, let payload): receivers[peer]?.received([payload])
        case .lost(let peer, let lost, let error): receivers[peer]?.peerLost(lost, error)
        }
      }
    }
  }

  private static func carryPackets(_ state: inout State) {
    while !state.inFlight.isEmpty {
      for (sender, peer, packet) in state.inFlight.take() {
        guard !state.cut.contains(Pair(from: sender, to: peer)) else { continue }
        for _ in 0..<state.faults.copies() {
          var actions: [MeshEngine.Action] = []
          state.engines[peer]?.receive(
            packet, over: linkID(peer, sender), now: state.now, into: &actions)
          carryOut(actions, of: peer, &state)
        }
      }
    }
  }

  private static func carryOut(
    _ actions: [MeshEngine.Action], of peer: PeerID, _ state: inout State
  ) {
    for action in actions {
      switch action {
      case .transmit(_, let packet): state.inFlight.append((peer, packet.destination, packet))
      case .deliver(let sender, let trafficClass, let bytes):
        state.deliveries.append(
          .payload(
            peer,
            InboundPayload(
              peer: sender, principal: sender, trafficClass: trafficClass, bytes: bytes)))
      case .freed(let receiver, let byteCount):
        state.budgets[peer]?.release(byteCount, for: receiver)
      case .peerLost(let lost, let error):
        state.budgets[peer]?.releaseAll(for: lost)
        state.deliveries.append(.lost(peer, lost, error))
      case .identified: continue
      }
    }
  }

  private static func link(_ peer: PeerID, _ other: PeerID, _ state: inout State) {
    var actions: [MeshEngine.Action] = []
    state.engines[peer]?.linkUp(
      linkID(peer, other), peer: other, now: state.now, into: &actions)
    carryOut(actions, of: peer, &state)
  }

  private static func linkID(_ peer: PeerID, _ other: PeerID) -> MeshEngine.LinkID {
    peer.low &* 31 &+ other.low
  }
}

/// One peer of an `InProcessNetwork`.
public final class InProcessEndpoint: MeshTransport {
  private let network: InProcessNetwork
  /// This peer.
  public let localPeer: PeerID

  fileprivate init(network: InProcessNetwork, localPeer: PeerID) {
    self.network = network
    self.localPeer = localPeer
  }

  /// Begins to deliver; see `MeshTransport`.
  public func start(_ receiver: any TransportReceiver) { network.start(localPeer, receiver) }

  /// Queues a payload; see `MeshTransport`.
  public func send(_ payload: [UInt8], to peer: PeerID, in trafficClass: TrafficClass) throws {
    try network.send(payload, from: localPeer, to: peer, in: trafficClass)
  }

  /// Gives credit back; see `MeshTransport`.
  public func consumed(_ byteCount: Int, from peer: PeerID, in trafficClass: TrafficClass) {
    network.consumed(byteCount, by: localPeer, from: peer, in: trafficClass)
  }

  /// Leaves at once: everything was delivered before `send` returned.
  public func stop(drainingFor limit: Duration) async { network.leave(localPeer) }
}
