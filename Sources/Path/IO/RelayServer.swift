internal import CPath
internal import CShim
internal import Foundation
public import IorunCore
internal import Synchronization

/// A relay and reflector as a service on one UDP port, and on TCP for those whose UDP is blocked:
/// one thread, which does nothing else. It sees ciphertext only.
public final class RelayServer: Sendable {
  /// What it has counted since it began.
  public struct Counters: Sendable, Hashable {
    /// Bytes and datagrams that it passed on.
    public var forwardedBytes: UInt64 = 0, forwardedPackets: UInt64 = 0
    /// Datagrams from nobody who may, and those above a pair's rate or the socket's room.
    public var refusedPackets: UInt64 = 0, droppedPackets: UInt64 = 0
  }

  private struct State {
    var counters = Counters()
    var bytes: [UInt32: UInt64] = [:]
    var isStopped = false
  }

  /// The pairs that it holds at once.
  public static let slotLimit: UInt32 = 16_384

  /// The UDP port.
  public let port: UInt16
  /// The second UDP port where it answers probes: what a NAT shows there tells its kind.
  public let otherPort: UInt16
  /// What it shares with the head.
  public let secret: [UInt8]
  private let stopSignal: Int32
  private let state: Mutex<State>
  private let bridge: StreamBridge?

  /// Opens the ports and begins to serve.
  ///
  /// - Parameters:
  ///   - address: the machine's address to serve on; `nil`: all.
  ///   - port: the UDP port; 0: any.
  ///   - streamPort: the TCP port of framed datagrams; `nil`: none.
  ///   - secret: what it shares with the head.
  /// - Throws: `addressInUse`, `fileSystem`, `internalFault`.
  public init(
    on address: SocketAddress? = nil, port: UInt16, streamPort: UInt16? = nil, secret: [UInt8]
  ) throws {
    let descriptor = try UDPSocket.open(on: address, port: port, gro: true)
    // The third one only answers: whoever gets that lets in what he has not written to.
    var others: [Int32] = []
    do {
      for _ in 0..<2 { others.append(try UDPSocket.open(on: address, port: 0, gro: false)) }
    } catch {
      for each in others + [descriptor] { close(each) }
      throw error
    }
    let (other, silent) = (others[0], others[1])
    let stop = iorun_eventfd_create()
    self.port = UInt16(clamping: iorun_udp_port(descriptor))
    otherPort = UInt16(clamping: iorun_udp_port(other))
    self.secret = secret
    stopSignal = stop
    guard stop >= 0, let relay = iorun_relay_create(descriptor, Self.slotLimit) else {
      for each in others + [descriptor] { close(each) }
      throw IorunError(.internalFault, "there is no memory for a relay")
    }
    state = Mutex(State())
    let desk: RelayDesk
    do {
      desk = try RelayDesk(secret: secret, otherPort: otherPort)
      bridge = try streamPort.map {
        try StreamBridge(
          listenOn: address, port: $0, relayPort: UInt16(clamping: iorun_udp_port(descriptor)))
      }
    } catch {
      iorun_relay_free(relay)
      for each in others + [descriptor, stop] { close(each) }
      throw error
    }
    // Nobody but the thread touches the relay from here on.
    nonisolated(unsafe) let owned = relay
    let thread = Thread { [weak self] in
      iorun_relay_name_thread()
      iorun_udp_tell_local(other)
      Self.run(owned, desk, [descriptor, other, silent], stop) { counters, bytes in
        self?.note(counters, bytes)
      }
      iorun_relay_free(owned)
      for each in [descriptor, other, silent, stop] { close(each) }
    }
    thread.name = "path-relay"
    thread.start()
  }

  deinit { stop() }

  /// The TCP port of framed datagrams; `nil`: none.
  public var streamPort: UInt16? { bridge?.port }

  /// What it has counted, at most a second ago.
  public var counters: Counters { state.withLock { $0.counters } }

  /// The bytes of each slot since the last call, for whoever is to pay for them.
  public func takeBytes() -> [UInt32: UInt64] {
    state.withLock { state in
      defer { state.bytes = [:] }
      return state.bytes
    }
  }

  /// Ends the service.
  public func stop() {
    bridge?.stop()
    state.withLock { state in
      guard !state.isStopped else { return }
      state.isStopped = true
      // The thread closes the descriptors, this one too.
      _ = iorun_eventfd_signal(stopSignal)
    }
  }

  private func note(_ counters: Counters, _ bytes: [(UInt32, UInt64)]) {
    state.withLock { state in
      state.counters = counters
      for (slot, count) in bytes { state.bytes[slot, default: 0] += count }
    }
  }

  private static func run(
    _ relay: OpaquePointer, _ desk: RelayDesk, _ sockets: [Int32], _ stop: Int32,
    _ note: (Counters, [(UInt32, UInt64)]) -> Void
  ) {
    var desk = desk
    let (descriptor, other, silent) = (sockets[0], sockets[1], sockets[2])
    let room = 64
    let controls = UnsafeMutablePointer<iorun_relay_control>.allocate(capacity: room)
    defer { controls.deallocate() }
    var polled = [descriptor, other, stop, silent].map {
      pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
    }
    var nextNote = Duration.zero
    while true {
      poll(&polled, 4, 1000)
      if polled[2].revents != 0 { return }
      let now = PathClock.now()
      let unix = UInt64(max(0, time(nil)))
      let count = iorun_relay_turn(
        relay, controls, Int32(room), 16, Int64(now / .nanoseconds(1)), unix)
      for index in 0..<max(0, Int(count)) {
        guard let from = SocketAddress(controls[index].from) else { continue }
        let bytes = withUnsafeBytes(of: &controls[index].bytes) {
          Array($0.prefix(Int(controls[index].count)))
        }
        for action in desk.receive(bytes, from: from, now: now, unixSeconds: unix) {
          perform(
            action, relay, at: controls[index].local, asked: descriptor, silent: silent)
        }
      }
      if polled[1].revents != 0 {
        answer(other, silent, relay, &desk, now: now, unixSeconds: unix)
      }
      if polled[3].revents != 0 { drain(silent) }
      if now >= nextNote {
        nextNote = now + .seconds(1)
        note(read(relay), readBytes(relay))
      }
    }
  }

  /// `local` is the address of this machine that was asked: answers come from there.
  private static func perform(
    _ action: RelayDesk.Action, _ relay: OpaquePointer, at local: iorun_path_address,
    asked: Int32, silent: Int32
  ) {
    switch action {
    case .reply(let bytes, let address, let fromSilentPort):
      var (native, local) = (address.native, local)
      _ = iorun_udp_send_from(
        fromSilentPort ? silent : asked, &local, &native, bytes, bytes.count, 0)
    case .install(let slot, let leg, let tag, let address, let expiresAt, let rate):
      var native = address.native
      _ = iorun_relay_install(
        relay, slot, Int32(leg.rawValue), tag, &native, expiresAt, rate)
    }
  }

  /// The second port answers probes, and binds nobody: nothing is relayed there.
  private static func answer(
    _ other: Int32, _ silent: Int32, _ relay: OpaquePointer, _ desk: inout RelayDesk,
    now: Duration, unixSeconds: UInt64
  ) {
    var (from, local) = (iorun_path_address(), iorun_path_address())
    var buffer = [UInt8](repeating: 0, count: 2048)
    for _ in 0..<64 {
      let count = iorun_udp_receive_at(other, &from, &local, &buffer, buffer.count)
      guard count >= 0, let address = SocketAddress(from) else { return }
      let actions = desk.receive(
        Array(buffer.prefix(count)), from: address, now: now, unixSeconds: unixSeconds)
      for action in actions {
        guard case .reply = action, actions.count == 1 else { continue }
        perform(action, relay, at: local, asked: other, silent: silent)
      }
    }
  }

  /// Nobody is to write there: what comes is dropped.
  private static func drain(_ silent: Int32) {
    var (from, buffer) = (iorun_path_address(), [UInt8](repeating: 0, count: 64))
    for _ in 0..<64 where iorun_udp_receive(silent, &from, &buffer, buffer.count) < 0 { return }
  }

  private static func read(_ relay: OpaquePointer) -> Counters {
    var raw = iorun_relay_counters()
    iorun_relay_read(relay, &raw)
    return Counters(
      forwardedBytes: raw.forwarded_bytes, forwardedPackets: raw.forwarded_packets,
      refusedPackets: raw.refused_packets, droppedPackets: raw.dropped_packets)
  }

  private static func readBytes(_ relay: OpaquePointer) -> [(UInt32, UInt64)] {
    var slots = [UInt32](repeating: 0, count: 256)
    var bytes = [UInt64](repeating: 0, count: 256)
    let count = iorun_relay_drain_bytes(relay, &slots, &bytes, 256)
    return (0..<Int(count)).map { (slots[$0], bytes[$0]) }
  }
}
