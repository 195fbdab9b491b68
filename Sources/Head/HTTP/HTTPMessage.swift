/// A request, as far as this server knows any: no streaming, no chunks, one a connection.
struct HTTPRequest: Hashable, Sendable {
  var method: String
  /// Without the query.
  var path: String
  /// By lower-case name.
  var headers: [String: String]
  var body: [UInt8]

  /// The most bytes of the lines before the body.
  static let headLimit = 16 << 10
  /// The most bytes of a body: many times the largest proof.
  static let bodyLimit = 4 << 20

  /// What the bytes of a connection are so far.
  enum Parsed: Hashable, Sendable {
    /// More are to come.
    case incomplete
    /// A whole request.
    case request(HTTPRequest)
    /// No request that is served: the status to answer with.
    case refused(Int)
  }

  /// Reads a request (RFC 9112). Anything that two readers could read differently is refused: a
  /// length that is given twice, chunks, spaces before a colon.
  static func parse(_ bytes: [UInt8]) -> Parsed {
    let end = bytes.withUnsafeBufferPointer { buffer -> Int? in
      guard buffer.count >= 4 else { return nil }
      let last = min(buffer.count, headLimit + 4) - 4
      return (0...last).first {
        buffer[$0] == 13 && buffer[$0 + 1] == 10 && buffer[$0 + 2] == 13 && buffer[$0 + 3] == 10
      }
    }
    guard let end else { return bytes.count > headLimit ? .refused(431) : .incomplete }
    let head = bytes[..<end]
    guard head.allSatisfy({ (32...126).contains($0) || $0 == 13 || $0 == 10 || $0 == 9 }) else {
      return .refused(400)
    }
    var lines = String(decoding: head, as: UTF8.self).split(
      separator: "\r\n", omittingEmptySubsequences: false)
    let words = lines.removeFirst().split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0",
      words[1].hasPrefix("/")
    else { return .refused(400) }
    var headers: [String: String] = [:]
    for line in lines {
      guard let colon = line.firstIndex(of: ":"), colon != line.startIndex,
        !line[..<colon].contains(where: \.isWhitespace)
      else { return .refused(400) }
      let name = line[..<colon].lowercased()
      guard headers[name] == nil else { return .refused(400) }
      headers[name] = line[line.index(after: colon)...].trimming()
    }
    guard headers["transfer-encoding"] == nil else { return .refused(501) }
    var count = 0
    if let text = headers["content-length"] {
      guard text.utf8.count <= 9, text.utf8.allSatisfy({ (48...57).contains($0) }),
        let length = Int(text)
      else { return .refused(400) }
      guard length <= bodyLimit else { return .refused(413) }
      count = length
    }
    let start = end + 4
    guard bytes.count >= start + count else { return .incomplete }
    return .request(
      HTTPRequest(
        method: String(words[0]), path: String(words[1].prefix { $0 != "?" }), headers: headers,
        body: Array(bytes[start..<start + count])))
  }
}

extension Substring {
  fileprivate func trimming() -> String {
    let start = drop { $0 == " " || $0 == "\t" }
    return String(start.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
  }
}

/// An answer: always JSON.
struct HTTPResponse: Hashable, Sendable {
  var status: Int
  var body: [UInt8]
  /// After how many seconds to try again; `nil` where it is not about that.
  var retryAfter: Int?

  private static let reasons = [
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict",
    413: "Content Too Large", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 503: "Service Unavailable",
  ]

  /// As bytes.
  var bytes: [UInt8] {
    var head =
      "HTTP/1.1 \(status) \(Self.reasons[status] ?? "Error")\r\nContent-Type: application/json\r\n"
      + "Content-Length: \(body.count)\r\nCache-Control: no-store\r\nConnection: close\r\n"
    if let retryAfter { head += "Retry-After: \(retryAfter)\r\n" }
    if status == 401 { head += "WWW-Authenticate: Bearer\r\n" }
    return Array((head + "\r\n").utf8) + body
  }
}
