internal import CZeroMQ
internal import IorunCore
internal import IorunMesh

/// A libzmq socket with nothing of ours around it. It lives as long as its process.
struct PlainSocket {
  let handle: UnsafeMutableRawPointer

  /// A context that holds as many sockets as asked for.
  static func context(sockets: Int) -> UnsafeMutableRawPointer? {
    let context = zmq_ctx_new()
    if let context { zmq_ctx_set(context, ZMQ_MAX_SOCKETS, Int32(clamping: sockets)) }
    return context
  }

  init(_ type: Int32, in shared: UnsafeMutableRawPointer? = nil) throws {
    guard let context = shared ?? zmq_ctx_new(), let handle = zmq_socket(context, type) else {
      throw Self.error("make a socket")
    }
    self.handle = handle
    // As many messages under way as are measured, whatever libzmq's default is.
    for option in [ZMQ_SNDHWM, ZMQ_RCVHWM] {
      var none: Int32 = 0
      zmq_setsockopt(handle, option, &none, MemoryLayout<Int32>.size)
    }
  }

  /// Makes it the server of a CURVE connection with `key` or a new one; returns the public key.
  @discardableResult
  func makeServer(as key: CurveKey? = nil) throws -> [UInt8] {
    let (publicKey, secretKey) =
      try key.map { ($0.publicKey, $0.exportSecret()) } ?? Self.keyPair()
    var isServer: Int32 = 1
    zmq_setsockopt(handle, ZMQ_CURVE_SERVER, &isServer, MemoryLayout<Int32>.size)
    try set(ZMQ_CURVE_SECRETKEY, secretKey)
    return publicKey
  }

  /// Makes it the client of a CURVE connection, with `key` or a new one.
  func makeClient(of serverKey: [UInt8], as key: CurveKey? = nil) throws {
    let (publicKey, secretKey) =
      try key.map { ($0.publicKey, $0.exportSecret()) } ?? Self.keyPair()
    try set(ZMQ_CURVE_SERVERKEY, serverKey)
    try set(ZMQ_CURVE_PUBLICKEY, publicKey)
    try set(ZMQ_CURVE_SECRETKEY, secretKey)
  }

  /// How many connections may wait to be accepted.
  func setBacklog(_ count: Int32) {
    var count = count
    zmq_setsockopt(handle, ZMQ_BACKLOG, &count, MemoryLayout<Int32>.size)
  }

  /// Listens; returns the address with the port that the kernel chose.
  func bind(_ address: String) throws -> String {
    guard zmq_bind(handle, address) == 0 else { throw Self.error("listen on \(address)") }
    var buffer = [CChar](repeating: 0, count: 512)
    var size = buffer.count
    zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &buffer, &size)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Has libzmq connect again by itself, between these times in milliseconds.
  func reconnect(every first: Int32, upTo longest: Int32) throws {
    var (first, longest) = (first, longest)
    zmq_setsockopt(handle, ZMQ_RECONNECT_IVL, &first, MemoryLayout<Int32>.size)
    zmq_setsockopt(handle, ZMQ_RECONNECT_IVL_MAX, &longest, MemoryLayout<Int32>.size)
  }

  func connect(_ address: String) throws {
    guard zmq_connect(handle, address) == 0 else { throw Self.error("connect to \(address)") }
  }

  static func error(_ doing: String) -> IorunError {
    let text = zmq_strerror(zmq_errno()).map { String(cString: $0) } ?? "unknown error"
    return IorunError(.internalFault, "libzmq cannot \(doing): \(text)")
  }

  private func set(_ option: Int32, _ value: [UInt8]) throws {
    guard zmq_setsockopt(handle, option, value, value.count) == 0 else {
      throw Self.error("set a key")
    }
  }

  private static func keyPair() throws -> (publicKey: [UInt8], secretKey: [UInt8]) {
    var texts = (
      [CChar](repeating: 0, count: 41), [CChar](repeating: 0, count: 41)
    )
    var keys = ([UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 32))
    guard zmq_curve_keypair(&texts.0, &texts.1) == 0,
      zmq_z85_decode(&keys.0, texts.0) != nil, zmq_z85_decode(&keys.1, texts.1) != nil
    else { throw error("make a key pair") }
    return keys
  }
}
