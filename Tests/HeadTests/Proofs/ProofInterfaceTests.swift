import Foundation
import IorunContract
import IorunCore
import IorunPoW
import Testing

@testable import IorunHead

/// Proofs over HTTP: as the OpenAPI document says, and to nobody without the token.
@Suite("Proofs over HTTP")
struct ProofInterfaceTests {
  private static let token = "a-token"

  private func request(
    _ method: String, _ path: String, _ body: [UInt8] = [], token: String? = token
  ) -> HTTPRequest {
    HTTPRequest(
      method: method, path: "/v1/pow/" + path,
      headers: token.map { ["authorization": "Bearer " + $0] } ?? [:], body: body)
  }

  /// A device with a round out that it answers over HTTP alone.
  private func withInterface(
    _ body: (Rig, ProofInterface) async throws -> Void
  ) async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      await rig.prover().set(isSilent: true)
      _ = try await rig.openChallenge()
      try await body(rig, ProofInterface(director: rig.director, token: Self.token))
    }
  }

  private func bytes(_ value: some Encodable) throws -> [UInt8] {
    Array(try ProofDocument.encode(value))
  }

  @Test("a round goes over HTTP from challenge to verdict, each answer as the document says")
  func round() async throws {
    try await withInterface { rig, interface in
      let schema = try OpenAPI()
      let device = ["device": "\(rig.device())"]
      var answer = await interface.answer(request("POST", "challenges", try bytes(device)))
      try schema.check(answer, "/v1/pow/challenges", "post")
      let challenge = try ProofDocument.decode(Challenge.self, from: Data(answer.body))
      let proof = try await rig.prover().proof(challenge) { commitment in
        let answer = await interface.answer(
          request("POST", "commitments", try bytes(commitment)))
        try schema.check(answer, "/v1/pow/commitments", "post")
        return try ProofDocument.decode(OpeningRequest.self, from: Data(answer.body))
      }
      answer = await interface.answer(request("POST", "check", try bytes(proof)))
      try schema.check(answer, "/v1/pow/check", "post")
      #expect(try await rig.history().verdicts.isEmpty)
      let first = await interface.answer(request("POST", "results", try bytes(proof)))
      try schema.check(first, "/v1/pow/results", "post")
      #expect(String(decoding: first.body, as: UTF8.self).contains("\"is_accepted\" : true"))
      #expect(await interface.answer(request("POST", "results", try bytes(proof))) == first)
      answer = await interface.answer(request("GET", "devices/\(rig.device())"))
      try schema.check(answer, "/v1/pow/devices/{device}", "get")
      #expect(try await rig.history().verdicts.count == 1)
    }
  }

  @Test("bad requests get typed errors, and nothing without the token")
  func bad() async throws {
    try await withInterface { rig, interface in
      let schema = try OpenAPI()
      func status(_ request: HTTPRequest) async throws -> Int {
        let answer = await interface.answer(request)
        try schema.checkError(answer)
        return answer.status
      }
      #expect(try await status(request("GET", "devices/x", token: nil)) == 401)
      #expect(try await status(request("GET", "devices/x", token: "wrong")) == 401)
      #expect(try await status(request("GET", "devices/x")) == 400)
      #expect(
        try await status(request("GET", "devices/" + String(repeating: "0", count: 64))) == 404)
      #expect(try await status(request("GET", "challenges")) == 405)
      #expect(try await status(request("POST", "nothing")) == 404)
      for body in ["", "[]", "{}", "{\"device\":1}", "\u{0}", "{\"challenge\":{}}"] {
        for path in ["challenges", "commitments", "results", "check"] {
          #expect(
            try await status(request("POST", path, Array(body.utf8))) == 400, "\(path) \(body)")
        }
      }
      let stray = try bytes(FakeProver.strayProof())
      #expect(try await status(request("POST", "results", stray)) == 404)
      let poor = ProofInterface(director: rig.director, token: Self.token, requestsAMinute: 2)
      for _ in 0..<2 { _ = await poor.answer(request("GET", "devices/x")) }
      let refused = await poor.answer(request("GET", "devices/x"))
      #expect(refused.status == 429 && refused.retryAfter != nil)
    }
  }

  @Test("a request is read one way or refused; mutated ones never do harm")
  func parsing() {
    func parse(_ text: String) -> HTTPRequest.Parsed { HTTPRequest.parse(Array(text.utf8)) }
    let good = "POST /v1/pow/check?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    #expect(
      parse(good)
        == .request(
          HTTPRequest(
            method: "POST", path: "/v1/pow/check", headers: ["host": "a", "content-length": "2"],
            body: Array("{}".utf8))))
    for cut in 0..<good.utf8.count {
      #expect(HTTPRequest.parse(Array(good.utf8.prefix(cut))) == .incomplete)
    }
    let refused: [(String, Int)] = [
      ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
      ("POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nContent-Length: -2\r\n\r\n", 400),
      ("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
      ("POST / HTTP/1.1\r\nContent-Length : 2\r\n\r\n", 400),
      ("POST x HTTP/1.1\r\n\r\n", 400), ("POST /  HTTP/1.1\r\n\r\n", 400),
      ("\r\n\r\n", 400), ("GET / HTTP/1.1\r\n: x\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\nA: \u{e9}\r\n\r\n", 400),
      ("GET /" + String(repeating: "a", count: 17 << 10), 431),
    ]
    for (text, status) in refused { #expect(parse(text) == .refused(status), "\(text.prefix(60))") }
    var generator = SystemRandomNumberGenerator()
    let seed = generator.next()
    var state = seed
    for _ in 0..<3000 {
      var bytes = Array(good.utf8)
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 24)
      }
      if case .request(let request) = HTTPRequest.parse(bytes) {
        #expect(request.body.count <= bytes.count, "seed \(seed)")
      }
    }
  }

  @Test(
    "curl gets an answer from the port, and none without the token",
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: "/usr/bin/curl"), "curl is not installed"))
  func curl() async throws {
    try await withInterface { rig, interface in
      let server = try HTTPServer(address: "127.0.0.1:0") { await interface.answer($0) }
      defer { server.stop() }
      func curl(_ arguments: String...) async throws -> String {
        let command = Process()
        command.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        command.arguments = ["-s", "--max-time", "30"] + arguments
        let pipe = Pipe()
        command.standardOutput = pipe
        try command.run()
        let data = try await Blocking.run { try pipe.fileHandleForReading.readToEnd() ?? Data() }
        try await Blocking.run { command.waitUntilExit() }
        return String(decoding: data, as: UTF8.self)
      }
      let base = "http://127.0.0.1:\(server.port)/v1/pow/"
      let good = try await curl(
        "-H", "Authorization: Bearer \(Self.token)", "-d", "{\"device\":\"\(rig.device())\"}",
        base + "challenges")
      #expect(good.contains("\"version\" : \"pow/1\""))
      #expect(try await curl(base + "challenges").contains("IOR-1005"))
    }
  }

  @Test("HTTP is served on loopback alone")
  func loopback() async {
    for address in ["0.0.0.0:0", "192.0.2.1:80", "127.0.0.1", "x", "127.0.0.1:99999"] {
      await expect(throwsCode: .specInvalid) {
        try HTTPServer(address: address) { _ in HTTPResponse(status: 200, body: []) }.stop()
      }
    }
  }

  /// The document, as far as it is needed to check answers by it.
  private struct OpenAPI: Sendable {
    private let text: Data

    init() throws {
      let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../docs/openapi-pow.json")
      text = try Data(contentsOf: file)
      try #require(!document.isEmpty)
    }

    private var document: [String: Any] {
      (try? JSONSerialization.jsonObject(with: text)) as? [String: Any] ?? [:]
    }

    private func at(_ path: String...) -> [String: Any] {
      path.reduce(document) { $0[$1] as? [String: Any] ?? [:] }
    }

    func check(_ answer: HTTPResponse, _ path: String, _ method: String) throws {
      #expect(
        answer.status == 200, "\(path): \(String(decoding: answer.body, as: UTF8.self))")
      let schema = at(
        "paths", path, method, "responses", "200", "content", "application/json", "schema")
      #expect(!schema.isEmpty, "\(path) is not in the document")
      match(try JSONSerialization.jsonObject(with: Data(answer.body)), schema, path)
    }

    func checkError(_ answer: HTTPResponse) throws {
      match(
        try JSONSerialization.jsonObject(with: Data(answer.body)),
        at("components", "schemas", "Error"), "error")
    }

    private func match(_ value: Any, _ schema: [String: Any], _ place: String) {
      if let reference = schema["$ref"] as? String {
        let name = reference.split(separator: "/").last.map(String.init) ?? ""
        return match(value, at("components", "schemas", name), place)
      }
      switch schema["type"] as? String {
      case "object":
        guard let object = value as? [String: Any] else {
          Issue.record("\(place) is no object")
          return
        }
        let known = schema["properties"] as? [String: Any] ?? [:]
        for name in schema["required"] as? [String] ?? [] {
          #expect(object[name] != nil, "\(place) lacks \(name)")
        }
        for (name, value) in object {
          guard let schema = known[name] as? [String: Any] else {
            #expect(
              schema["additionalProperties"] as? Bool != false, "\(place).\(name) is undocumented")
            continue
          }
          match(value, schema, "\(place).\(name)")
        }
      case "array":
        guard let list = value as? [Any] else {
          Issue.record("\(place) is no array")
          return
        }
        for item in list { match(item, schema["items"] as? [String: Any] ?? [:], place + "[]") }
      case "string":
        let text = value as? String
        #expect(text != nil, "\(place) is no string")
        if let pattern = schema["pattern"] as? String, let text {
          #expect(text.range(of: pattern, options: .regularExpression) != nil, "\(place): \(text)")
        }
        if let allowed = schema["enum"] as? [String], let text { #expect(allowed.contains(text)) }
      case "integer", "number": #expect(value is NSNumber, "\(place) is no number")
      case "boolean": #expect(value is Bool, "\(place) is no boolean")
      default: break
      }
    }
  }
}
