internal import CZeroMQ
internal import Foundation
internal import IorunCore
internal import IorunWire

/// The dialling end of one link: connects, greets, sends heartbeats, and connects again for as long
/// as it lives. Owned by the I/O thread. Each attempt has a socket of its own, so that nothing of an
/// old connection reaches a new one.
final class Dialler: LinkOwner {
  /// What happened to the link.
  enum Event {
    /// Bytes may be sent; whether the other side admits us is not known yet.
    case opened(MeshEngine.LinkID, PeerID)
    case up(MeshEngine.LinkID, PeerID)
    case down(MeshEngine.LinkID)
    case packet(MeshEngine.LinkID, Packet)
    case failed(IorunError)
    /// The other side says what is wrong on a link that goes on.
    case warned(IorunError)
  }

  static let heartbeat = Duration.seconds(1)
  static let silence = Duration.seconds(4)
  static let greetingTimeout = Duration.seconds(5)
  static let firstBackoff = Duration.milliseconds(50)
  static let longestBackoff = Duration.seconds(3)

  private enum Phase {
    case waiting(until: MonotonicTime)
    case connecting(MeshEngine.LinkID, since: MonotonicTime)
    case up(MeshEngine.LinkID, lastHeard: MonotonicTime, pingAt: MonotonicTime)
  }

  let peer: PeerID
  let uplink: MeshUplink
  let purpose: LinkPurpose
  let state: UplinkMonitor
  private let identity: CurveKey
  private let instance: UInt64
  private let security: LinkSecurity
  private let versions: ProtocolVersions
  private var phase: Phase
  private var backoff = firstBackoff
  private var connection: UInt64
  private(set) var socket: ZMQSocket?
  private(set) var monitor: ZMQSocket?
  private var outbox = LinkOutbox()
  /// The last heartbeat's round trip.
  private var roundTrip: Duration?
  private var attempt = 0
  /// True once the other side knows this process by its own key.
  private var isKnown: Bool
  /// Until when the other side's certificate is good, in seconds since 1970 (UTC), where it had to
  /// show one.
  private var goodUntil: Double?
  private var limiter: MessageLimiter
  /// Whom messages count for. Carriers have no bound: they bring what many have sent.
  private let sender: MessageLimiter.Sender

  init(
    _ uplink: MeshUplink, as purpose: LinkPurpose, telling state: UplinkMonitor,
    identity: CurveKey, instance: UInt64, security: LinkSecurity, versions: ProtocolVersions,
    limits: MessageLimiter.Limits, now: MonotonicTime
  ) {
    self.versions = versions
    self.uplink = uplink
    self.purpose = purpose
    self.state = state
    self.instance = instance
    self.identity = identity
    self.security = security
    isKnown = uplink.introduction == nil
    peer = CurveKey.peer(of: uplink.key)
    limiter = MessageLimiter(limits)
    let host = uplink.address.split(separator: "/").dropFirst().first ?? ""
    sender = limiter.sender(
      peer, at: purpose == .direct && uplink.address.hasPrefix("tcp:") ? Array(host.utf8) : [])
    phase = .waiting(until: now)
    // Grows over restarts of this process too, as long as the clock does not go back.
    connection = UInt64(max(0, Date().timeIntervalSince1970 * 1_000_000))
  }

  /// When `tick` has something to do.
  var deadline: MonotonicTime {
    switch phase {
    case .waiting(let until): until
    case .connecting(_, let since): since + Self.greetingTimeout
    case .up(_, let lastHeard, let pingAt): min(pingAt, lastHeard + Self.silence)
    }
  }

  /// The link that is up or being made.
  var link: MeshEngine.LinkID? {
    switch phase {
    case .waiting: nil
    case .connecting(let link, _), .up(let link, _, _): link
    }
  }

  func send(_ packet: Packet, over link: MeshEngine.LinkID) { outbox.append(.packet(packet)) }

  /// Tells whoever watches the link how long its last heartbeat took.
  func tellRoundTrip() {
    if let roundTrip { state.measured(roundTrip) }
  }

  func flush() {
    guard let socket, !outbox.isEmpty else { return }
    outbox.flush { socket.send($0) }
  }

  func tick(now: MonotonicTime, nextLink: inout MeshEngine.LinkID, into events: inout [Event]) {
    switch phase {
    case .waiting(let until):
      if now >= until { connect(now: now, nextLink: &nextLink, into: &events) }
    case .connecting(_, let since):
      if now - since >= Self.greetingTimeout {
        fail(noAnswer(), now: now, into: &events)
      }
    case .up(let link, let lastHeard, let pingAt):
      if let goodUntil, let moment = uplink.credentials?.now(), moment >= goodUntil {
        fail(
          IorunError(
            .certificateExpired, "the certificate of peer \(peer.short) has ended on an open link",
            remedy: "It shows a fresh one with the next connection, which is made at once"),
          now: now, into: &events)
      } else if now - lastHeard >= Self.silence {
        fail(noAnswer(), now: now, into: &events)
      } else if now >= pingAt {
        outbox.append(.ping(token: UInt64(bitPattern: now.nanoseconds)))
        phase = .up(link, lastHeard: lastHeard, pingAt: now + Self.heartbeat)
      }
    }
  }

  /// Takes what has arrived, from the peer and from libzmq's monitor.
  func receive(now: MonotonicTime, into events: inout [Event]) {
    var count = 0, bytesTaken = 0
    while count < Acceptor.messagesPerTurn, bytesTaken < Acceptor.bytesPerTurn,
      let parts = socket?.receive(partLimit: 2)
    {
      count += 1
      let size = parts.reduce(0) { $0 + $1.bytes.count }
      bytesTaken += size
      guard limiter.verdict(on: sender, now: now) == .taken else { continue }
      let tail = parts.count > 1 ? parts[1].bytes : nil
      guard let bytes = parts.first?.bytes,
        let frames = try? bytes.withUnsafeBytes({ try FrameCodec.decode($0, tail: tail) })
      else {
        fail(
          IorunError(.malformed, "\(uplink.address) sent bytes that no iorun peer sends"),
          now: now, into: &events)
        return
      }
      limiter.took(messages: frames.count, bytes: size, from: sender)
      for frame in frames { handle(frame, now: now, into: &events) }
    }
    while let parts = monitor?.receive(partLimit: 2) {
      guard parts.count == 2, parts[0].bytes.count == 6 else { continue }
      let event = parts[0].bytes.withUnsafeBytes { raw in
        (
          Int32(raw.loadUnaligned(fromByteOffset: 0, as: UInt16.self)),
          raw.loadUnaligned(fromByteOffset: 2, as: UInt32.self)
        )
      }
      observe(event.0, value: event.1, now: now, into: &events)
    }
  }

  func close() {
    if let socket { zmq_socket_monitor(socket.handle, nil, 0) }
    monitor?.close()
    socket?.close()
    monitor = nil
    socket = nil
  }

  private var introduction: Introduction? { isKnown ? nil : uplink.introduction }

  private func connect(
    now: MonotonicTime, nextLink: inout MeshEngine.LinkID, into events: inout [Event]
  ) {
    close()
    outbox = LinkOutbox()
    connection += 1
    attempt += 1
    do {
      let certificate = try uplink.credentials?.own() ?? []
      let socket = try HardenedSocket.dialler(
        identity: introduction?.ticket ?? identity, peerKey: uplink.key, security: security)
      self.socket = socket
      let address = "inproc://monitor-\(UInt(bitPattern: ObjectIdentifier(self)))-\(attempt)"
      let watched =
        ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
        | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
      guard zmq_socket_monitor(socket.handle, address, watched) == 0 else {
        throw ZMQContext.lastError("watch a socket")
      }
      let monitor = try ZMQSocket(ZMQ_PAIR)
      try monitor.connect(address)
      self.monitor = monitor
      try socket.connect(uplink.address)
      outbox.append(
        .hello(
          protocolVersion: UInt32(clamping: versions.newest), release: IorunVersion.release,
          connection: connection, instance: instance,
          newcomer: try introduction?.newcomer(
            identity, headKey: uplink.key, connection: connection, instance: instance),
          certificate: certificate, oldestVersion: UInt32(clamping: versions.oldest)))
      nextLink += 1
      phase = .connecting(nextLink, since: now)
      events.append(.opened(nextLink, peer))
    } catch {
      let failure =
        error as? IorunError
        ?? IorunError(.unreachable, "cannot connect to \(uplink.address)", cause: error)
      planNext(failure, now: now, into: &events)
    }
  }

  private func handle(_ frame: Frame, now: MonotonicTime, into events: inout [Event]) {
    switch (frame, phase) {
    case (.welcome(let version, _, connection, let certificate), .connecting(let link, _)):
      do throws(IorunError) {
        _ = try versions.agreed(
          with: ProtocolVersions(oldest: nil, newest: Int(version)), "wire protocol",
          who: "the other end at \(uplink.address)", own: "this one")
        goodUntil = try uplink.credentials?.end(of: certificate, of: peer)
      } catch {
        return fail(error, now: now, into: &events)
      }
      phase = .up(link, lastHeard: now, pingAt: now)
      isKnown = true
      backoff = Self.firstBackoff
      events.append(.up(link, peer))
    case (.refusal(let code, let message, let remedy), .connecting):
      fail(Self.error(code, message, remedy), now: now, into: &events)
    case (.refusal(let code, let message, let remedy), .up):
      events.append(.warned(Self.error(code, message, remedy)))
    case (.packet(let packet), .up(let link, _, let pingAt)):
      phase = .up(link, lastHeard: now, pingAt: pingAt)
      events.append(.packet(link, packet))
    case (.pong(let token), .up(let link, _, let pingAt)):
      phase = .up(link, lastHeard: now, pingAt: pingAt)
      roundTrip = now - MonotonicTime(nanoseconds: Int64(bitPattern: token))
    default: return
    }
  }

  private static func error(_ code: Int, _ message: String, _ remedy: String) -> IorunError {
    IorunError(
      .init(rawValue: code), String(message.prefix(500)),
      remedy: remedy.isEmpty ? nil : String(remedy.prefix(500)))
  }

  private func observe(
    _ event: Int32, value: UInt32, now: MonotonicTime, into events: inout [Event]
  ) {
    switch event {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      fail(
        IorunError(
          .keyNotAdmitted, "the head at \(uplink.address) does not admit this key",
          remedy: "Join with a ticket: ask the operator for `iorun ticket create`"),
        now: now, into: &events)
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      fail(
        IorunError(
          .unreachable,
          "\(uplink.address) answers, but is not the head whose key this peer was given",
          remedy: "Check the address; a head that was set up anew needs new tickets"),
        now: now, into: &events)
    case ZMQ_EVENT_DISCONNECTED, ZMQ_EVENT_CLOSED:
      fail(noAnswer(), now: now, into: &events)
    default: return
    }
  }

  /// Ends the attempt or the link and plans the next.
  private func fail(_ error: IorunError, now: MonotonicTime, into events: inout [Event]) {
    switch phase {
    case .waiting: return
    case .connecting(let link, _), .up(let link, _, _): events.append(.down(link))
    }
    planNext(error, now: now, into: &events)
  }

  private func planNext(
    _ error: IorunError, now: MonotonicTime, into events: inout [Event]
  ) {
    close()
    // Half of the wait is random, so that a head that comes back is not met by all at once.
    phase = .waiting(until: now + backoff * Double.random(in: 0.5...1))
    backoff = min(backoff * 2, Self.longestBackoff)
    events.append(.failed(error))
  }

  private func noAnswer() -> IorunError {
    IorunError(
      .unreachable, "no answer from \(uplink.address)",
      remedy: "Check that the head runs and that this machine can reach its port")
  }
}
