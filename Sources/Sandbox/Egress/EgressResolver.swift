internal import CShim
internal import Dispatch
internal import Foundation
internal import IorunCore

/// The resolver of one sandbox: the agent's sockets in the sandbox's own namespace, so that nothing of
/// the machine needs to be reached for it. It asks the machine's resolvers, and passes on only answers
/// whose addresses the sandbox may reach.
///
/// One thread does all of it. A question goes out from a port of its own under a number of its own; what
/// comes back otherwise is not heard.
final class EgressResolver: Sendable {
  /// Where it listens inside.
  static let address = IPAddress.v4(0x7f00_0035)
  static let port: UInt16 = 53
  /// The most questions that wait for an answer; more are dropped.
  static let flowLimit = 128
  /// The most callers by TCP who have not asked yet.
  static let callerLimit = 32
  /// How long one of the machine's resolvers has for an answer, and how often one is asked.
  static let patience = Duration.milliseconds(1500)
  static let tries = 3

  private let wake: Int32
  private let hasEnded = DispatchSemaphore(value: 0)

  /// Begins to answer. Throws where the sockets cannot be made.
  init(
    _ policy: EgressPolicy, upstreams: [SocketAddress], space: Int32, network: Int32
  ) throws {
    let place = SocketAddress(Self.address, port: Self.port)
    let datagrams = try ResolverSocket.datagram(at: place, in: space)
    var sockets = [datagrams]
    do {
      sockets.append(try ResolverSocket.listener(at: place, in: space))
      let wake = iorun_eventfd_create()
      guard wake >= 0 else { throw IorunError.system("cannot make", "an event", errno: -wake) }
      self.wake = wake
    } catch {
      for socket in sockets { close(socket) }
      throw error
    }
    let desk = ResolverDesk(
      policy: policy, upstreams: upstreams, network: network, datagrams: datagrams,
      listener: sockets[1], wake: wake)
    let thread = Thread { [self] in
      var desk = desk
      desk.run()
      hasEnded.signal()
    }
    thread.name = "iorun-resolver"
    thread.start()
  }

  deinit { close(wake) }

  /// Ends it; returns once its sockets are closed.
  func stop() {
    iorun_eventfd_signal(wake)
    hasEnded.wait()
    // For whoever asks again.
    hasEnded.signal()
  }
}

/// What the resolver's thread has on its desk.
private struct ResolverDesk {
  enum Asker {
    case datagram(sockaddr_in)
    case stream(Int32)
  }

  /// A question under way.
  struct Flow {
    var socket: Int32
    var question: DNSQuestion
    var id: UInt16
    var asker: Asker
    var deadline: ContinuousClock.Instant
    var attempt = 0
    /// By TCP: what is to be sent still, and what came so far.
    var unsent: [UInt8] = []
    var heard: [UInt8] = []

    var isStream: Bool { if case .stream = asker { true } else { false } }
  }

  /// One who called by TCP and has not asked yet.
  struct Caller {
    var socket: Int32
    var heard: [UInt8] = []
    var deadline: ContinuousClock.Instant
  }

  let policy: EgressPolicy
  let upstreams: [SocketAddress]
  let network: Int32
  let datagrams: Int32
  let listener: Int32
  let wake: Int32
  var flows: [Flow] = []
  var callers: [Caller] = []

  mutating func run() {
    while true {
      var waits = [wake, datagrams, listener].map {
        pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
      }
      waits += callers.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
      waits += flows.map { flow in
        pollfd(fd: flow.socket, events: Int16(flow.unsent.isEmpty ? POLLIN : POLLOUT), revents: 0)
      }
      let isIdle = callers.isEmpty && flows.isEmpty
      poll(&waits, nfds_t(waits.count), isIdle ? -1 : 100)
      if waits[0].revents != 0 { break }
      let now = ContinuousClock.now
      // From the last on, for each may take itself away.
      for index in flows.indices.reversed() {
        if waits[3 + callers.count + index].revents != 0 {
          serve(index)
        } else if flows[index].deadline <= now {
          retry(index)
        }
      }
      for index in callers.indices.reversed() {
        if waits[3 + index].revents != 0 {
          listen(to: index)
        } else if callers[index].deadline <= now {
          close(callers.remove(at: index).socket)
        }
      }
      if waits[1].revents != 0 { readDatagrams() }
      if waits[2].revents != 0 { acceptCaller() }
    }
    for flow in flows { end(flow, with: nil) }
    for caller in callers { close(caller.socket) }
    close(datagrams)
    close(listener)
  }

  private mutating func readDatagrams() {
    // A bound, so that a flood does not keep answers waiting.
    for _ in 0..<64 {
      var from = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      var bytes = [UInt8](repeating: 0, count: 1500)
      let count = withUnsafeMutablePointer(to: &from) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          recvfrom(datagrams, &bytes, bytes.count, Int32(MSG_DONTWAIT), $0, &length)
        }
      }
      guard count >= 0 else { return }
      take(Array(bytes.prefix(count)), from: .datagram(from))
    }
  }

  private mutating func acceptCaller() {
    let socket = iorun_local_accept(listener)
    guard socket >= 0 else { return }
    guard callers.count < EgressResolver.callerLimit else {
      close(socket)
      return
    }
    // Room for the largest answer, so that sending one never waits.
    var room: Int32 = 128 << 10
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
    callers.append(Caller(socket: socket, deadline: .now + EgressResolver.patience))
  }

  private mutating func listen(to index: Int) {
    let isOpen = ResolverSocket.read(callers[index].socket, into: &callers[index].heard)
    if let message = ResolverSocket.message(in: callers[index].heard) {
      take(message, from: .stream(callers.remove(at: index).socket))
    } else if !isOpen {
      close(callers.remove(at: index).socket)
    }
  }

  // A question came: it is asked on, answered here, or not heard.
  private mutating func take(_ bytes: [UInt8], from asker: Asker) {
    guard let question = DNSQuestion(bytes), flows.count < EgressResolver.flowLimit else {
      if case .stream(let socket) = asker { close(socket) }
      return
    }
    var flow = Flow(socket: -1, question: question, id: 0, asker: asker, deadline: .now)
    guard question.isPassedOn else { return end(flow, with: question.reply(.fine)) }
    if ask(&flow) { flows.append(flow) } else { end(flow, with: question.reply(.failed)) }
  }

  // Sends the question to the next of the machine's resolvers.
  private func ask(_ flow: inout Flow) -> Bool {
    guard !upstreams.isEmpty else { return false }
    let upstream = upstreams[flow.attempt % upstreams.count]
    flow.id = UInt16.random(in: 0 ... .max)
    flow.deadline = .now + EgressResolver.patience
    flow.heard = []
    let query = flow.question.query(id: flow.id)
    if flow.isStream {
      flow.socket = iorun_tcp_begin_connect(
        network, upstream.address, Int32(upstream.address.count), upstream.port)
      flow.unsent = [UInt8(query.count >> 8), UInt8(query.count & 0xff)] + query
    } else {
      flow.socket = ResolverSocket.connected(to: upstream, in: network)
      if flow.socket >= 0 { send(flow.socket, query, query.count, Int32(MSG_NOSIGNAL)) }
    }
    return flow.socket >= 0
  }

  private mutating func retry(_ index: Int) {
    var flow = flows.remove(at: index)
    close(flow.socket)
    flow.socket = -1
    flow.attempt += 1
    if flow.attempt < EgressResolver.tries, ask(&flow) {
      flows.append(flow)
    } else {
      end(flow, with: flow.question.reply(.failed))
    }
  }

  private mutating func serve(_ index: Int) {
    if flows[index].isStream {
      serveStream(index)
      return
    }
    var bytes = [UInt8](repeating: 0, count: 65_535)
    let count = recv(flows[index].socket, &bytes, bytes.count, Int32(MSG_DONTWAIT))
    // "Refused" for example: the next one, at once.
    guard count >= 0 else { return errno == EAGAIN || errno == EINTR ? () : retry(index) }
    // What is not the answer is not heard: the answer may come yet.
    finish(index, Array(bytes.prefix(count)))
  }

  private mutating func serveStream(_ index: Int) {
    if !flows[index].unsent.isEmpty {
      guard iorun_tcp_connect_result(flows[index].socket) == 0 else { return retry(index) }
      let count = send(
        flows[index].socket, flows[index].unsent, flows[index].unsent.count,
        Int32(MSG_NOSIGNAL))
      if count < 0 { return errno == EAGAIN || errno == EINTR ? () : retry(index) }
      flows[index].unsent.removeFirst(count)
      return
    }
    let isOpen = ResolverSocket.read(flows[index].socket, into: &flows[index].heard)
    if let message = ResolverSocket.message(in: flows[index].heard) {
      if !finish(index, message) { retry(index) }
    } else if !isOpen {
      retry(index)
    }
  }

  @discardableResult
  private mutating func finish(_ index: Int, _ bytes: [UInt8]) -> Bool {
    let flow = flows[index]
    let verdict = DNSAnswer.check(bytes, to: flow.question, id: flow.id) { policy.allows($0) }
    var reply: [UInt8]
    switch verdict {
    case .damaged: return false
    case .refused: reply = flow.question.reply(.refused)
    case .good:
      reply = bytes
      reply[0] = UInt8(flow.question.id >> 8)
      reply[1] = UInt8(flow.question.id & 0xff)
      if !flow.isStream, reply.count > flow.question.sizeLimit {
        reply = flow.question.reply(.fine, isTruncated: true)
      }
    }
    end(flows.remove(at: index), with: reply)
    return true
  }

  private func end(_ flow: Flow, with reply: [UInt8]?) {
    if flow.socket >= 0 { close(flow.socket) }
    switch flow.asker {
    case .datagram(var address):
      guard let reply else { return }
      withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          _ = sendto(
            datagrams, reply, reply.count, Int32(MSG_DONTWAIT), $0,
            socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    case .stream(let socket):
      if let reply {
        let framed = [UInt8(reply.count >> 8), UInt8(reply.count & 0xff)] + reply
        send(socket, framed, framed.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      close(socket)
    }
  }
}
