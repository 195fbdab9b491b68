internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW
internal import Synchronization

/// The verifier over HTTP (`docs/openapi-pow.json`): challenges, the check of a candidate, results,
/// and what is on record of a device. Whoever asks has the token; what counts for a device has the
/// device's own signature besides: codes of sessions are for nodes on the mesh.
struct ProofInterface: Sendable {
  /// What it calls: the director behind the same checks as the mesh's.
  let director: ProofDirector
  private let token: [UInt8]
  private let limit: Limit

  private final class Limit: Sendable {
    let state: Mutex<AnswerLimit>
    init(aMinute: Int, now: Duration) {
      state = Mutex(AnswerLimit(aMinute: aMinute, now: now))
    }
  }

  /// How many requests are taken a minute, of all callers together: checking a candidate costs up to
  /// some tens of milliseconds.
  static let requestsAMinute = 1200

  /// Takes the token that callers must have.
  init(director: ProofDirector, token: String, requestsAMinute: Int = requestsAMinute) {
    self.director = director
    self.token = Array(token.utf8)
    limit = Limit(aMinute: requestsAMinute, now: director.clock.elapsed())
  }

  /// The token in `file`; made where there is none. Blocks on the disk.
  static func token(file: String) throws -> String {
    do {
      return String(decoding: try PrivateFile.read(file, maximum: 256), as: UTF8.self)
        .trimmingCharacters(in: .whitespacesAndNewlines)
    } catch let error as IorunError where error.code == .fileMissing {
      let token = Base32.encode(try SecureRandom.bytes(20))
      try PrivateFile.write(Array((token + "\n").utf8), to: file)
      return token
    }
  }

  /// Answers one request.
  func answer(_ request: HTTPRequest) async -> HTTPResponse {
    guard isAuthentic(request) else {
      return Self.error(
        401,
        IorunError(
          .notAllowed, "the request has not the token of this head",
          remedy: "Send Authorization: Bearer, with what is in head/http.token"))
    }
    guard limit.state.withLock({ $0.take(at: director.clock.elapsed()) }) else {
      return Self.error(
        429, IorunError(.overloaded, "too many requests", remedy: "Try again in a second"),
        retryAfter: 1)
    }
    do {
      return try await route(request)
    } catch let error as IorunError {
      return Self.error(Self.status(of: error.code), error)
    } catch {
      return Self.error(500, IorunError(.internalFault, "the request could not be served"))
    }
  }

  private func route(_ request: HTTPRequest) async throws -> HTTPResponse {
    let prefix = "/v1/pow/"
    guard request.path.hasPrefix(prefix) else { throw Self.unknown(request.path) }
    let path = String(request.path.dropFirst(prefix.count))
    if path.hasPrefix("devices/") {
      guard request.method == "GET" else { return Self.wrongMethod("GET") }
      return try Self.json(
        DeviceAnswer(await director.record(of: Self.device(String(path.dropFirst(8))))))
    }
    guard ["challenges", "commitments", "results", "check"].contains(path) else {
      throw Self.unknown(request.path)
    }
    guard request.method == "POST" else { return Self.wrongMethod("POST") }
    let body = Data(request.body)
    switch path {
    case "challenges":
      let asked = try ProofDocument.decode(DeviceRequest.self, from: body)
      guard let challenge = try await director.openChallenge(of: Self.device(asked.device)) else {
        throw IorunError(
          .notFound, "no challenge is open for that device",
          remedy: "Ask again: a window begins once an hour at a time that nobody knows before")
      }
      return try Self.json(challenge)
    case "commitments":
      let commitment = try ProofDocument.decode(Commitment.self, from: body)
      let node = try await director.node(of: commitment.challenge.device)
      return try Self.json(await director.commit(commitment, sealed: .signature, caller: node))
    case "results":
      let proof = try ProofDocument.decode(Proof.self, from: body)
      let node = try await director.node(of: proof.challenge.device)
      return try Self.json(
        VerdictAnswer(await director.submit(proof, sealed: .signature, caller: node)))
    default:
      let proof = try ProofDocument.decode(Proof.self, from: body)
      return try Self.json(VerdictAnswer(await director.check(proof)))
    }
  }

  private func isAuthentic(_ request: HTTPRequest) -> Bool {
    guard let value = request.headers["authorization"], value.hasPrefix("Bearer ") else {
      return false
    }
    return constantTimeEqual(Array(value.dropFirst(7).utf8), token)
  }

  // MARK: Documents

  private struct DeviceRequest: Decodable { let device: String }

  private struct VerdictAnswer: Encodable {
    let isAccepted: Bool
    let verdict: Verdict
    let rate: Double
    let unit: String
    let explanation: String?

    enum CodingKeys: String, CodingKey {
      case isAccepted = "is_accepted"
      case verdict, rate, unit, explanation
    }

    init(_ verdict: Verdict) {
      isAccepted = verdict.isAccepted
      self.verdict = verdict
      rate = verdict.rate
      unit = verdict.kind.unit
      explanation = verdict.refusal?.explanation
    }
  }

  private struct DeviceAnswer: Encodable {
    let device: DeviceID
    let status: String
    let untilEpoch: Int64?
    let reason: String?
    let isHired: Bool
    let verdicts: [VerdictAnswer]

    enum CodingKeys: String, CodingKey {
      case device, status, reason, verdicts
      case untilEpoch = "until_epoch"
      case isHired = "is_hired"
    }

    init(_ status: DeviceStatus) {
      device = status.device
      self.status = status.mark.status.rawValue
      untilEpoch = status.mark.untilEpoch
      reason = status.mark.reason
      isHired = status.isHired
      verdicts = status.latest.map { VerdictAnswer($0.verdict) }
    }
  }

  private struct ErrorAnswer: Encodable {
    let error: Body
    struct Body: Encodable {
      let code: String
      let message: String
      let remedy: String?
    }
  }

  private static func json(_ value: some Encodable) throws -> HTTPResponse {
    HTTPResponse(status: 200, body: Array(try ProofDocument.encode(value)))
  }

  private static func error(
    _ status: Int, _ error: IorunError, retryAfter: Int? = nil
  ) -> HTTPResponse {
    let answer = ErrorAnswer(
      error: .init(code: "\(error.code)", message: error.message, remedy: error.remedy))
    return HTTPResponse(
      status: status, body: (try? ProofDocument.encode(answer)).map { Array($0) } ?? [],
      retryAfter: retryAfter)
  }

  private static func status(of code: IorunError.Code) -> Int {
    switch code {
    case .malformed, .versionMismatch: 400
    case .tooLarge: 413
    case .notFound: 404
    case .proofRefused, .wrongState: 409
    case .notAllowed, .keyNotAdmitted: 403
    case .overloaded: 429
    default: 500
    }
  }

  private static func device(_ text: String) throws -> DeviceID {
    guard let device = DeviceID(text) else {
      throw IorunError(.malformed, "'\(text.prefix(80))' is not a device's public key")
    }
    return device
  }

  private static func unknown(_ path: String) -> IorunError {
    IorunError(
      .notFound, "nothing is served at '\(path.prefix(80))'",
      remedy: "See docs/openapi-pow.json")
  }

  private static func wrongMethod(_ method: String) -> HTTPResponse {
    error(405, IorunError(.malformed, "this is served to \(method) only"))
  }
}
