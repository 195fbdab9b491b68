internal import Foundation
internal import IorunCore

/// What a Docker daemon says of containers as they are made (`GET /events`): before they start, so that
/// nothing of theirs has run yet.
struct DockerEvents: ~Copyable {
  /// A container that was made.
  struct Container: Hashable {
    var id: String
    var image: String
    var group: String?
  }

  private let connection: OpenFile
  private var body: DockerChunks
  private var text: [UInt8]
  /// One event is some hundred bytes.
  private static let lineLimit = 1 << 20

  /// Begins to listen. Blocks until the daemon answers.
  ///
  /// - Throws: as ``DockerEngine/attach(_:)``.
  init(_ engine: DockerEngine) throws {
    // {"type":["container"],"event":["create"]}
    let filter = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%5D%7D"
    let stream = try engine.listen("/events?filters=\(filter)")
    var chunks = DockerChunks()
    let begun = try chunks.add(stream.rest)
    connection = stream.connection
    (body, text) = (chunks, begun)
  }

  /// Those that were made since; waits for some for as long as `patience`.
  ///
  /// - Throws: `sandboxFailed` once the daemon says no more, or says what is no event.
  mutating func next(within patience: Duration) throws -> [Container] {
    var event = pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0)
    let milliseconds = Int32(max(0, min(patience / .milliseconds(1), 1e6)))
    // A beginning may have come with the answer's head.
    if poll(&event, 1, milliseconds) > 0 {
      var piece = [UInt8](repeating: 0, count: 16 << 10)
      let count = read(connection.descriptor, &piece, piece.count)
      if count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) {
        throw IorunError(.sandboxFailed, "the Docker daemon says no more of containers")
      }
      text += try body.add(piece.prefix(max(0, count)))
    }
    guard text.count <= Self.lineLimit else {
      throw IorunError(.sandboxFailed, "the Docker daemon's event is too long")
    }
    guard let end = text.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
    let lines = text[..<end].split(separator: UInt8(ascii: "\n"))
    let containers = lines.compactMap { Self.container(Array($0)) }
    text.removeSubrange(...end)
    return containers
  }

  /// Reads one event; `nil` for one that is none of a new container.
  static func container(_ line: [UInt8]) -> Container? {
    struct Event: Decodable {
      struct Actor: Decodable {
        var ID: String
        var Attributes: [String: String]?
      }
      var Action: String?
      var Actor: Actor
    }
    guard let event = try? JSONDecoder().decode(Event.self, from: Data(line)),
      event.Action == "create", isIdentifier(event.Actor.ID)
    else { return nil }
    let attributes = event.Actor.Attributes ?? [:]
    return Container(
      id: event.Actor.ID, image: String((attributes["image"] ?? "").prefix(500)),
      group: attributes[DockerDriver.label])
  }

  /// It becomes a part of a path.
  private static func isIdentifier(_ text: String) -> Bool {
    text.utf8.count == 64
      && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }
}

/// The body of an HTTP answer in chunks (RFC 9112, section 7.1), as it comes.
struct DockerChunks {
  private var pending: [UInt8] = []
  private static let limit = 4 << 20

  /// What is whole of the body now.
  ///
  /// - Throws: `sandboxFailed` for what are no chunks.
  mutating func add(_ bytes: some Sequence<UInt8>) throws -> [UInt8] {
    pending += bytes
    var body: [UInt8] = []
    while let end = pending.firstIndex(of: 13) {
      let digits = String(decoding: pending[..<end], as: UTF8.self).prefix { $0 != ";" }
      guard end <= 16, let size = Int(digits, radix: 16), size >= 0, size <= Self.limit else {
        throw Self.damaged
      }
      // Its line's end, and that of the size before it.
      let whole = end + 2 + size + 2
      guard pending.count >= whole else { break }
      body += pending[(end + 2)..<(end + 2 + size)]
      pending.removeFirst(whole)
    }
    guard pending.count <= Self.limit + 64 else { throw Self.damaged }
    return body
  }

  private static var damaged: IorunError {
    IorunError(.sandboxFailed, "the Docker daemon's answer is no HTTP")
  }
}
