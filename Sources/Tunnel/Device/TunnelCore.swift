internal import CTunnel
internal import Foundation
internal import IorunCore
internal import Synchronization

/// What a tunnel runs on: the machine of handshakes, C's device, and the thread between them. All
/// is under one lock, held for one event at a time: a handshake's worth of work at most.
final class TunnelCore: Sendable {
  private let state: Mutex<TunnelState>
  /// C's device once more, for the call that waits, and so cannot be under the lock, and for
  /// ``stop()``. The control thread frees it, once `stop` is through.
  private let handle: DeviceHandle
  private let ended = DispatchSemaphore(value: 0)
  private let stopping = Mutex(false)

  /// Takes the descriptors, unless it throws.
  init(_ config: TunnelConfig, tun: Int32, socket: Int32, threads: Int) throws {
    var machine = try WireGuardMachine(key: config.privateKey)
    for (number, peer) in config.peers.enumerated() { try machine.set(peer, number: number) }
    var options = ct_options(
      tun: tun, socket: socket, mtu: Int32(config.mtu), threads: Int32(threads))
    guard let device = ct_device_start(&options) else {
      throw SwiftWireGuardBackend.fault("cannot start the tunnel", errno)
    }
    handle = DeviceHandle(pointer: device)
    state = Mutex(TunnelState(machine: machine, device: handle))
    state.withLock { state in
      for (number, peer) in config.peers.enumerated() {
        state.apply(peer, number: number, device)
      }
      state.allowAll(device)
    }
  }

  // MARK: the control thread

  /// Starts the thread that works on handshakes and timers.
  func start() {
    let thread = Thread { self.run() }
    thread.name = "tunnel"
    thread.start()
  }

  /// Ends C's threads, and then this one's. May be called more than once.
  func stop() {
    stopping.withLock { isStopped in
      guard !isStopped else { return }
      isStopped = true
      ct_device_stop(handle.pointer)
    }
  }

  /// Waits until the keys are erased and the interface is gone.
  func waitForEnd() {
    ended.wait()
    ended.signal()
  }

  private func run() {
    let event = UnsafeMutablePointer<ct_event>.allocate(capacity: 1)
    event.initialize(to: ct_event())
    var lastTick: Duration = .zero
    while true {
      ct_device_next_event(handle.pointer, event, waitMilliseconds(lastTick))
      if event.pointee.kind == ct_event_closed { break }
      handle(event, &lastTick)
    }
    event.deallocate()
    // Whoever is in `stop` holds C's device still.
    stopping.withLock { _ in
      state.withLock { state in
        state.device = nil
        state.handler = nil
        ct_device_destroy(handle.pointer)
      }
    }
    ended.signal()
  }

  private func waitMilliseconds(_ lastTick: Duration) -> Int32 {
    let now = Duration.sinceBoot
    let due = state.withLock { $0.machine.nextDeadline }
    let next = min(lastTick + .seconds(1), due ?? .seconds(Int64.max))
    let wait = max(next - now, .zero).components
    return Int32(clamping: wait.seconds * 1000 + wait.attoseconds / 1_000_000_000_000_000 + 1)
  }

  private func handle(_ event: UnsafePointer<ct_event>, _ lastTick: inout Duration) {
    let now = Duration.sinceBoot
    let wallClock = Duration.sinceEpoch
    var delivery: (@Sendable () -> Void)?
    let isDue = now - lastTick >= .seconds(1)
    if isDue { lastTick = now }
    state.withLock { state in
      guard let device = state.device?.pointer else { return }
      switch event.pointee.kind {
      case ct_event_handshake:
        guard let source = event.pointee.source.endpoint else { break }
        let isLoaded = state.load.note(waiting: Int(event.pointee.waiting), now: now)
        state.perform(
          state.machine.receive(
            Self.bytes(event), from: source, isUnderLoad: isLoaded, now: now), device)
      case ct_event_other:
        guard let source = event.pointee.source.endpoint, let handler = state.handler else { break }
        let bytes = Self.bytes(event)
        delivery = { handler(bytes, source.address) }
      case ct_event_wants_key:
        state.perform(
          state.machine.wantKey(Int(event.pointee.peer), now: now, wallClock: wallClock), device)
      default: break
      }
      let isDue = isDue || (state.machine.nextDeadline.map { $0 <= now } ?? false)
      guard isDue else { return }
      let actions = state.machine.tick(now: now, wallClock: wallClock) { number in
        var traffic = ct_traffic()
        ct_peer_traffic(device, UInt16(number), &traffic)
        return WireGuardTraffic(traffic)
      }
      state.perform(actions, device)
    }
    // Outside of the lock, so that it may send.
    delivery?()
  }

  private static func bytes(_ event: UnsafePointer<ct_event>) -> [UInt8] {
    withUnsafeBytes(of: event.pointee.bytes) { Array($0.prefix(Int(event.pointee.count))) }
  }

  // MARK: what others ask

  private func withDevice<Result>(
    _ body: (inout TunnelState, OpaquePointer) throws -> sending Result
  ) throws -> sending Result {
    try state.withLock { state in
      guard let device = state.device?.pointer else {
        throw IorunError(.wrongState, "the tunnel is closed")
      }
      return try body(&state, device)
    }
  }

  /// Adds or changes a peer.
  func setPeer(_ peer: TunnelPeer) throws {
    try withDevice { state, device in
      let number = try state.freeNumber(for: peer.publicKey)
      try state.machine.set(peer, number: number)
      state.apply(peer, number: number, device)
      state.allowAll(device)
      state.perform(
        state.machine.greet(number, now: .sinceBoot, wallClock: .sinceEpoch), device)
      ct_device_wake(device)
    }
  }

  /// Forgets a peer.
  func removePeer(_ key: TunnelPublicKey) throws {
    try withDevice { state, device in
      guard let number = state.machine.number(of: key) else { return }
      state.machine.remove(number)
      state.allowAll(device)
      ct_peer_remove(device, UInt16(number))
    }
  }

  /// Sends to a peer by another way.
  func setEndpoint(_ endpoint: TunnelEndpoint, of key: TunnelPublicKey) throws {
    try withDevice { state, device in
      let number = try state.known(key)
      var place = ct_endpoint(endpoint)
      ct_peer_set_endpoint(device, UInt16(number), &place)
      let actions = state.machine.endpointChanged(
        number, now: .sinceBoot, wallClock: .sinceEpoch)
      state.perform(actions, device)
    }
  }

  /// Makes a new key now.
  func renewKey(with key: TunnelPublicKey) throws {
    try withDevice { state, device in
      let number = try state.known(key)
      state.perform(
        state.machine.rekey(number, now: .sinceBoot, wallClock: .sinceEpoch), device)
    }
    ct_device_wake(handle.pointer)
  }

  /// What has been counted.
  func counters() throws -> [TunnelPublicKey: TunnelCounters] {
    try withDevice { state, device in
      let now = Duration.sinceBoot
      var result: [TunnelPublicKey: TunnelCounters] = [:]
      for (number, peer) in state.machine.configured {
        var (traffic, endpoint) = (ct_traffic(), ct_endpoint())
        ct_peer_traffic(device, UInt16(number), &traffic)
        ct_peer_endpoint(device, UInt16(number), &endpoint)
        result[peer.publicKey] = TunnelCounters(
          sentBytes: traffic.sent_bytes, receivedBytes: traffic.received_bytes,
          sinceHandshake: state.machine.keysMade(number).map { now - $0 },
          endpoint: endpoint.endpoint)
      }
      return result
    }
  }

  /// What was dropped, by reason.
  func drops() throws -> [String: UInt64] {
    try withDevice { _, device in
      var drops = ct_drops()
      ct_device_drops(device, &drops)
      return [
        "unknownIndex": drops.unknown_index, "replayed": drops.replayed,
        "notAuthentic": drops.not_authentic, "notAllowed": drops.not_allowed,
        "noPeer": drops.no_peer, "noRoom": drops.no_room, "badPacket": drops.bad_packet,
        "sendFailed": drops.send_failed, "events": drops.events,
        "interfaceGone": drops.interface_gone,
      ].filter { $0.value > 0 }
    }
  }

  /// How many datagrams and calls there were.
  func batches() throws -> TunnelBatches {
    try withDevice { _, device in
      var batches = ct_batches()
      ct_device_batches(device, &batches)
      return TunnelBatches(
        sentPackets: batches.sent_packets, sendCalls: batches.send_calls,
        receivedPackets: batches.received_packets, receiveCalls: batches.receive_calls,
        interfaceReads: batches.tun_reads, interfaceWrites: batches.tun_writes)
    }
  }

  /// Sends a datagram that is not WireGuard's.
  func send(_ datagram: [UInt8], to address: SocketAddress, timeToLive: Int?) throws {
    guard datagram.count <= Int(ct_max_event_bytes) else {
      throw IorunError(.tooLarge, "a datagram of \(datagram.count) bytes")
    }
    try withDevice { _, device in
      var place = ct_endpoint(TunnelEndpoint(address))
      let result = ct_device_send(
        device, &place, datagram, datagram.count, Int32(clamping: timeToLive ?? 0))
      // A full buffer drops, as any router would.
      guard result == 0 || result == -EAGAIN || result == -ENOBUFS else {
        throw IorunError(
          .unreachable, "cannot send to \(address): \(String(cString: strerror(-result)))")
      }
    }
  }

  /// Who takes datagrams that are not WireGuard's.
  func onDatagram(_ handler: (@Sendable ([UInt8], SocketAddress) -> Void)?) {
    state.withLock { $0.handler = handler }
  }
}

extension Duration {
  /// The time since 1970.
  static var sinceEpoch: Duration {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
}
