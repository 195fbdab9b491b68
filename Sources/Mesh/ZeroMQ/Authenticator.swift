internal import CZeroMQ
internal import Foundation
public import IorunCore
internal import Synchronization

/// Which key may open a connection: its peer, or `nil` to refuse. Called on the authenticator's
/// thread for every handshake; must not block.
public typealias KeyAdmission = @Sendable (_ publicKey: [UInt8]) -> PeerID?

/// Answers libzmq's authentication requests (ZAP 1.0, ZeroMQ RFC 27) for every listener of this
/// process. A connection whose key no rule admits never reaches a decoder.
final class Authenticator: Sendable {
  /// Starts with the first listener.
  static let shared = Result { try Authenticator() }

  private struct State {
    var nextToken: UInt64 = 1
    var rules: [String: KeyAdmission] = [:]
    var limiter = HandshakeLimiter()
  }

  private let state = Mutex(State())

  private init() throws {
    let socket = try ZMQSocket(ZMQ_REP)
    try socket.bind("inproc://zeromq.zap.01")
    // The socket moves to the thread for good; starting a thread is a full memory barrier.
    nonisolated(unsafe) let owned = socket
    let thread = Thread { [self] in serve(owned) }
    thread.name = "mesh-zap"
    thread.start()
  }

  /// Registers a rule and returns the ZAP domain under which listeners use it.
  func register(_ admits: @escaping KeyAdmission) -> String {
    state.withLock { state in
      let domain = HardenedSocket.domain(state.nextToken)
      state.nextToken += 1
      state.rules[domain] = admits
      return domain
    }
  }

  /// Forgets a rule: its domain then admits nobody.
  func unregister(_ domain: String) {
    state.withLock { $0.rules[domain] = nil }
  }

  private func serve(_ socket: ZMQSocket) {
    while true {
      var items = [
        zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
      ]
      guard zmq_poll(&items, 1, -1) > 0, let request = socket.receive(partLimit: 8) else {
        continue
      }
      answer(request.map(\.bytes), over: socket)
    }
  }

  private func answer(_ request: [[UInt8]], over socket: ZMQSocket) {
    let (peer, status) = verdict(request)
    let requestID = request.count > 1 ? request[1] : []
    let parts = [
      Array("1.0".utf8), requestID, Array(status.code.utf8), Array(status.text.utf8),
      Array((peer?.description ?? "").utf8), [],
    ]
    for (index, part) in parts.enumerated() {
      _ = socket.send(part, more: index < parts.count - 1)
    }
  }

  /// 400 tells the dialler that its key is not admitted, 300 (try later) closes the connection without
  /// a word: to whoever comes too often nothing is told.
  private func verdict(
    _ request: [[UInt8]]
  ) -> (peer: PeerID?, status: (code: String, text: String)) {
    let peer = admitted(request)
    let isInTime = state.withLock { state in
      state.limiter.takes(
        key: peer == nil ? nil : request[6], address: request.count > 3 ? request[3] : [],
        now: EndpointLoop.now())
    }
    guard isInTime else { return (nil, ("300", "too many handshakes")) }
    guard let peer else { return (nil, ("400", "key not admitted")) }
    return (peer, ("200", "OK"))
  }

  private func admitted(_ request: [[UInt8]]) -> PeerID? {
    guard request.count == 7, request[0] == Array("1.0".utf8), request[5] == Array("CURVE".utf8),
      request[6].count == CurveKey.byteCount
    else { return nil }
    let domain = String(decoding: request[2], as: UTF8.self)
    let rule = state.withLock { $0.rules[domain] }
    return rule?(request[6])
  }
}
