internal import CShim
internal import CZeroMQ
internal import Foundation
internal import IorunCore
internal import IorunWire

/// The I/O thread of an endpoint: polls the sockets, runs the engine, delivers in batches.
///
/// Hot path: a turn takes all that has arrived and all that others queued, runs the protocol over
/// it, and hands each link one message. Watched by the `calls` benchmark.
final class EndpointLoop {
  /// How often the receiver's deadlines are looked at.
  static let receiverTick = Duration.milliseconds(100)
  /// The engine's timers are looked at no more often than this.
  static let engineTick = Duration.milliseconds(5)
  /// Jobs of tasks that run in one turn, so that they cannot keep the sockets waiting.
  static let jobsPerTurn = 4096

  private let sockets: LinkSockets
  private let mailbox: EndpointMailbox
  private let executor: EndpointExecutor
  private var engine: MeshEngine
  /// Whose process lives at an address, for addresses that are not the peer's own id.
  private var principals: [PeerID: PeerID] = [:]
  private var events: [LinkSockets.Event] = []
  private var together: [[UInt8]] = []
  private var actions: [MeshEngine.Action] = []
  private var inbound: [InboundPayload] = []
  private var lost: [(PeerID, IorunError)] = []
  private var nextSweep = MonotonicTime(nanoseconds: 0)
  private var nextReceiverTick = MonotonicTime(nanoseconds: 0)
  private var nextEngineTick = MonotonicTime(nanoseconds: 0)
  private var newcomerAdmission: NewcomerAdmission?
  private var pacing = HeartbeatPacing()
  private var stopBy: MonotonicTime?
  private var stopped: [@Sendable () -> Void] = []

  init(
    local: PeerID, identity: MeshIdentity, sockets: LinkSockets, mailbox: EndpointMailbox,
    executor: EndpointExecutor
  ) {
    self.sockets = sockets
    self.mailbox = mailbox
    self.executor = executor
    engine = MeshEngine(
      local: local, incarnation: UInt64.random(in: 1 ... .max), uplink: sockets.uplink,
      identity: identity)
  }

  /// The monotonic clock.
  static func now() -> MonotonicTime {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  func run(_ receiver: any TransportReceiver) {
    executor.adoptThread()
    while !isOver(Self.now()) {
      var commands = mailbox.takeOrSleep()
      // Sockets are read without waiting in any case: with work at hand a poll would tell nothing.
      // Whoever brings a job after this look wakes the thread, which is noted to be asleep.
      if commands.isEmpty, !executor.hasJobs {
        if pacing.pauses { pause() } else { poll(timeout: timeout(Self.now())) }
      }
      commands += mailbox.takeAwake()
      let now = Self.now()
      receiveFrames(now: now)
      pacing.took(
        heartbeats: sockets.heartbeatCount,
        other: !actions.isEmpty || !commands.isEmpty || executor.hasJobs, now: now)
      perform(commands, now: now)
      runTimers(now: now, receiver: receiver)
      carryOut()
      deliver(to: receiver)
      runJobs(now: now, receiver: receiver)
      sockets.flush()
    }
    executor.finish()
    sayGoodbye()
    sockets.close()
    for command in mailbox.stop() { EndpointMailbox.answerAfterEnd(command) }
    for done in stopped { done() }
  }

  /// Runs tasks that chose this thread; what they send leaves in this very turn.
  private func runJobs(now: MonotonicTime, receiver: any TransportReceiver) {
    guard executor.hasJobs else { return }
    executor.runJobs(limit: Self.jobsPerTurn)
    perform(mailbox.takeAwake(), now: now)
    carryOut()
    deliver(to: receiver)
  }

  /// Acknowledges what has come in, so that nobody waits for a process that is gone.
  private func sayGoodbye() {
    engine.acknowledgeNow(into: &actions)
    guard !actions.isEmpty else { return }
    carryOut()
    sockets.flush()
    // libzmq's own thread carries it out; closing with LINGER 0 would take it back.
    usleep(5000)
  }

  /// Once told to stop, the loop goes on until everything sent is acknowledged, or the time is up.
  private func isOver(_ now: MonotonicTime) -> Bool {
    guard let stopBy else { return false }
    return now >= stopBy || !engine.hasUnacknowledged
  }

  private func poll(timeout: Int) {
    var items = [
      zmq_pollitem_t(
        socket: nil, fd: mailbox.descriptor, events: Int16(ZMQ_POLLIN), revents: 0)
    ]
    sockets.appendPollItems(to: &items)
    zmq_poll(&items, Int32(items.count), timeout)
    if items[0].revents != 0 { _ = iorun_eventfd_drain(mailbox.descriptor) }
  }

  /// Sleeps for a moment, whatever comes over the sockets; a command or a job ends it.
  private func pause() {
    var item = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
    guard Glibc.poll(&item, 1, HeartbeatPacing.pauseMilliseconds) > 0 else { return }
    _ = iorun_eventfd_drain(mailbox.descriptor)
  }

  private func timeout(_ now: MonotonicTime) -> Int {
    var next = min(nextReceiverTick, nextSweep)
    if let due = engine.deadline { next = min(next, max(due, nextEngineTick)) }
    if let due = sockets.deadline { next = min(next, due) }
    if let stopBy { next = min(next, stopBy) }
    let wait = (next - now).wholeNanoseconds
    return wait <= 0 ? 0 : Int((wait + 999_999) / 1_000_000)
  }

  private func receiveFrames(now: MonotonicTime) {
    sockets.receive(now: now, into: &events)
    handleEvents(now: now)
  }

  private func handleEvents(now: MonotonicTime) {
    for event in events {
      switch event {
      case .opened(let link, let peer):
        // Right behind the greeting: over a long way a round trip less until the first call.
        engine.open(peer, over: link, now: now, into: &actions)
      case .dialled(let link, let peer):
        engine.linkUp(link, peer: peer, now: now, into: &actions)
      case .accepted(let link, let address, let principal):
        if address != principal { principals[address] = principal }
        engine.linkUp(link, peer: address, now: now, into: &actions)
      case .newcomer(let link, let newcomer, let ticket):
        admit(newcomer, with: ticket, over: link)
      case .down(let link): engine.linkDown(link, now: now, into: &actions)
      case .packet(let link, let packet):
        engine.receive(packet, over: link, now: now, into: &actions)
      }
    }
    events.removeAll(keepingCapacity: true)
  }

  /// Asks whoever decides; the answer comes through the mailbox.
  private func admit(
    _ newcomer: Newcomer, with ticket: PeerID, over link: MeshEngine.LinkID
  ) {
    guard let newcomerAdmission else {
      mailbox.post(
        .decided(link, IorunError(.notAllowed, "this process admits nobody by tickets")))
      return
    }
    Task { [mailbox] in
      var refusal: IorunError?
      do {
        try await newcomerAdmission(newcomer.publicKey, newcomer.name, ticket)
      } catch let error as IorunError {
        refusal = error
      } catch {
        refusal = IorunError(.internalFault, "the admission failed", cause: error)
      }
      mailbox.post(.decided(link, refusal))
    }
  }

  /// Carries out what other threads asked for. What they are done with comes first, so that what is
  /// sent says so, and what goes to one peer goes as one: a session is looked up and its deadline
  /// found once for many payloads.
  private func perform(_ commands: [EndpointMailbox.Command], now: MonotonicTime) {
    guard !commands.isEmpty else { return }
    noteConsumed(commands, now: now)
    var to: (peer: PeerID, trafficClass: TrafficClass)?
    for command in commands {
      switch command {
      case .send(let payload, let peer, let trafficClass):
        if let present = to, present != (peer, trafficClass) { sendTogether(present, now: now) }
        to = (peer, trafficClass)
        together.append(payload)
      case .consumed: continue
      default:
        if let present = to.take() { sendTogether(present, now: now) }
        perform(command, now: now)
      }
    }
    if let to { sendTogether(to, now: now) }
  }

  private func sendTogether(_ to: (peer: PeerID, trafficClass: TrafficClass), now: MonotonicTime) {
    guard !together.isEmpty else { return }
    engine.send(together, to: to.peer, in: to.trafficClass, now: now, into: &actions)
    together.removeAll(keepingCapacity: true)
  }

  private func noteConsumed(_ commands: [EndpointMailbox.Command], now: MonotonicTime) {
    var from: (peer: PeerID, trafficClass: TrafficClass)?
    var sum = 0
    for case .consumed(let byteCount, let peer, let trafficClass) in commands {
      if let present = from, present != (peer, trafficClass) {
        engine.consumed(sum, from: present.peer, in: present.trafficClass, now: now)
        sum = 0
      }
      from = (peer, trafficClass)
      sum += byteCount
    }
    guard let from else { return }
    engine.consumed(sum, from: from.peer, in: from.trafficClass, now: now)
  }

  private func perform(_ command: EndpointMailbox.Command, now: MonotonicTime) {
    switch command {
    case .send, .consumed: return
    case .relays(let table): engine.setRelays(table)
    case .newcomers(let admission): newcomerAdmission = admission
    case .decided(let link, let refusal):
      sockets.decide(link, refusal: refusal, now: now, into: &events)
      handleEvents(now: now)
    case .forget(let peer):
      engine.forget(peer)
      mailbox.releaseAll(for: peer)
      lost.append((peer, IorunError(.peerLost, "peer \(peer.short) is gone for good")))
    case .dial(let link, let purpose, let monitor):
      engine.setCarrier(CurveKey.peer(of: link.key), purpose == .carrier)
      sockets.dial(link, as: purpose, telling: monitor, now: now, into: &events)
      handleEvents(now: now)
    case .hangUp(let peer):
      engine.setCarrier(peer, false)
      sockets.hangUp(peer, into: &events)
      handleEvents(now: now)
    case .endLinks(let principal):
      sockets.endLinks(to: principal, into: &events)
      handleEvents(now: now)
    case .expel(let principal):
      sockets.expel(principal, into: &events)
      handleEvents(now: now)
      let addresses = principals.filter { $0.value == principal }.map(\.key) + [principal]
      let error = IorunError(.peerRevoked, "peer \(principal.short) was revoked")
      for address in addresses {
        engine.forget(address)
        mailbox.releaseAll(for: address)
        lost.append((address, error))
      }
    case .listen(let addresses, let admits, let credentials, let reply):
      reply(
        Result {
          try sockets.listen(on: addresses, admits: admits, credentials: credentials)
        })
    case .closeListener(let number):
      sockets.closeListener(number, into: &events)
      handleEvents(now: now)
    case .carrier(let carrier, let peer):
      engine.setCarrier(carrier, of: peer, now: now, into: &actions)
    case .isDirect(let peer, let reply): reply(.success(engine.hasLink(to: peer)))
    case .stop(let limit, let done):
      stopBy = limit
      stopped.append(done)
    }
  }

  private func runTimers(now: MonotonicTime, receiver: any TransportReceiver) {
    if now >= nextEngineTick {
      engine.tick(now: now, into: &actions)
      nextEngineTick = now + Self.engineTick
    }
    if now >= nextSweep {
      sockets.sweep(now: now, into: &events)
      handleEvents(now: now)
      // A process that has neither link nor session is over.
      principals = principals.filter { engine.knows($0.key) }
      nextSweep = now + .milliseconds(500)
    }
    if now >= nextReceiverTick {
      receiver.tick(now: now)
      nextReceiverTick = now + Self.receiverTick
    }
  }

  private func carryOut() {
    for action in actions {
      switch action {
      case .transmit(let link, let packet):
        sockets.send(packet, over: link)
      case .deliver(let peer, let trafficClass, let bytes):
        inbound.append(
          InboundPayload(
            peer: peer, principal: principals[peer] ?? peer, trafficClass: trafficClass,
            bytes: bytes))
      case .freed(let peer, let byteCount): mailbox.release(byteCount, for: peer)
      case .peerLost(let peer, let error):
        mailbox.releaseAll(for: peer)
        lost.append((peer, error))
      case .identified(let address, let principal): principals[address] = principal
      }
    }
    actions.removeAll(keepingCapacity: true)
  }

  private func deliver(to receiver: any TransportReceiver) {
    if !inbound.isEmpty { receiver.received(inbound.take()) }
    for (peer, error) in lost.take() { receiver.peerLost(peer, error) }
  }
}
