internal import CShim
internal import Foundation
internal import IorunCore

/// Speaks with a Docker daemon over its socket (Docker Engine API 1.41 and later, HTTP/1.1): one
/// connection a request. The daemon is root's, as this process is; its answers are bounded all the same.
struct DockerEngine: Sendable {
  /// The path of the socket.
  var socket: String

  static let version = "/v1.41"
  /// The most bytes of an answer.
  static let answerLimit = 4 << 20

  struct Answer {
    var status: Int
    var body: [UInt8]
  }

  /// A connection that is a container's streams.
  struct Attachment: ~Copyable {
    let connection: OpenFile
    let rest: [UInt8]
  }

  /// Asks for something. Blocks until the answer is there.
  ///
  /// - Parameters:
  ///   - path: with its query, behind the version.
  ///   - accepted: the statuses that mean success, beside 200 to 299.
  /// - Throws: `sandboxUnavailable` where no daemon answers; `sandboxFailed` with its message.
  @discardableResult
  func request(
    _ method: String, _ path: String, body: [UInt8] = [], type: String = "application/json",
    accepted: Set<Int> = []
  ) throws -> Answer {
    let connection = try connect()
    let head = """
      \(method) \(Self.version)\(path) HTTP/1.1\r
      Host: docker\r
      Connection: close\r
      Content-Type: \(type)\r
      Content-Length: \(body.count)\r
      \r

      """
    try connection.write(Array(head.utf8) + body)
    var bytes: [UInt8] = []
    while bytes.count < Self.answerLimit {
      let piece = try connection.read(upTo: 64 << 10)
      if piece.isEmpty { break }
      bytes += piece
    }
    let answer = try Self.parse(bytes)
    guard (200..<300).contains(answer.status) || accepted.contains(answer.status) else {
      struct Message: Decodable { var message: String }
      let message = try? JSONDecoder().decode(Message.self, from: Data(answer.body))
      throw IorunError(
        .sandboxFailed,
        "the Docker daemon says to \(method) \(path.prefix(100)): "
          + "\(answer.status) \(message?.message.prefix(300) ?? "")",
        remedy: "Look at the daemon's log")
    }
    return answer
  }

  /// The same, with a value for the body, and one of the answer.
  func request<Value: Decodable>(
    _ method: String, _ path: String, sending body: some Encodable, for type: Value.Type
  ) throws -> Value {
    let bytes = [UInt8](try JSONEncoder().encode(body))
    return try Self.decode(type, request(method, path, body: bytes).body)
  }

  /// The same, without a body.
  func get<Value: Decodable>(_ path: String, for type: Value.Type) throws -> Value {
    try Self.decode(type, request("GET", path).body)
  }

  /// Attaches to a container's streams: the connection is theirs from then on, and `rest` what came
  /// of them already.
  func attach(_ path: String) throws -> Attachment {
    try open("POST", path, "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0")
  }

  /// Listens to an answer that has no end: `rest` is the beginning of its body, which comes in chunks.
  func listen(_ path: String) throws -> Attachment {
    try open("GET", path, "Accept: application/json")
  }

  private func open(_ method: String, _ path: String, _ fields: String) throws -> Attachment {
    let connection = try connect()
    let head = """
      \(method) \(Self.version)\(path) HTTP/1.1\r
      Host: docker\r
      \(fields)\r
      \r

      """
    try connection.write(Array(head.utf8))
    var bytes: [UInt8] = []
    while bytes.count < 64 << 10 {
      // What is there: the connection does not end with the head.
      var piece = [UInt8](repeating: 0, count: 4096)
      let count = read(connection.descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      bytes += piece[..<count]
      guard let end = Self.endOfHead(bytes) else { continue }
      let answer = try Self.status(bytes[..<end])
      guard answer == 101 || answer == 200 else { break }
      return Attachment(connection: connection, rest: Array(bytes[(end + 4)...]))
    }
    throw IorunError(
      .sandboxFailed, "the Docker daemon opens no stream for \(method) \(path.prefix(60))")
  }

  private func connect() throws -> OpenFile {
    let descriptor = iorun_unix_connect(socket)
    guard descriptor >= 0 else {
      throw IorunError(
        .sandboxUnavailable,
        "no Docker daemon answers at \(socket): \(String(cString: strerror(-descriptor)))",
        remedy: "Start it, or install bubblewrap, crun or runc")
    }
    return OpenFile(adopting: descriptor, path: socket)
  }

  private static func decode<Value: Decodable>(
    _ type: Value.Type, _ bytes: [UInt8]
  ) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(bytes))
    } catch {
      throw IorunError(
        .sandboxFailed, "an answer of the Docker daemon cannot be read", cause: error)
    }
  }

  /// Reads a whole answer, whose end is the connection's.
  static func parse(_ bytes: [UInt8]) throws -> Answer {
    guard let end = endOfHead(bytes) else { throw damaged }
    let status = try status(bytes[..<end])
    let head = String(decoding: bytes[..<end], as: UTF8.self).lowercased()
    let body = bytes[(end + 4)...]
    guard head.contains("transfer-encoding: chunked") else {
      return Answer(status: status, body: Array(body))
    }
    return Answer(status: status, body: try chunks(body))
  }

  // "SIZE in hexadecimal, a line's end, as many bytes, a line's end", until a size of 0 (RFC 9112, 7.1).
  private static func chunks(_ bytes: ArraySlice<UInt8>) throws -> [UInt8] {
    var rest = bytes
    var body: [UInt8] = []
    while true {
      guard let end = rest.firstIndex(of: 13), end - rest.startIndex <= 16 else { throw damaged }
      let digits = String(decoding: rest[..<end], as: UTF8.self).prefix { $0 != ";" }
      guard let size = Int(digits, radix: 16), size >= 0, size <= answerLimit else { throw damaged }
      if size == 0 { return body }
      rest = rest[end...].dropFirst(2)
      guard rest.count >= size else { throw damaged }
      body += rest.prefix(size)
      rest = rest.dropFirst(size + 2)
    }
  }

  private static func endOfHead(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 4 else { return nil }
    return (0...(bytes.count - 4)).first { bytes[$0..<($0 + 4)].elementsEqual([13, 10, 13, 10]) }
  }

  // "HTTP/1.1 STATUS ...".
  private static func status(_ head: ArraySlice<UInt8>) throws -> Int {
    let words = String(decoding: head.prefix(64), as: UTF8.self).split(separator: " ")
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1].prefix(3))
    else { throw damaged }
    return status
  }

  private static var damaged: IorunError {
    IorunError(.sandboxFailed, "the Docker daemon's answer is no HTTP")
  }
}
