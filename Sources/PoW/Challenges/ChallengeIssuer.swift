public import IorunCore
internal import IorunCrypto

/// Issues challenges and keeps nothing of them: a code under its secret tells its own from others'.
public struct ChallengeIssuer: Sendable {
  private let secret: [UInt8]

  /// How many bytes a secret has.
  public static let secretByteCount = 32

  /// Takes the secret of a verifier. Throws `identityUnusable` for any other length than 32.
  public init(secret: [UInt8]) throws {
    guard secret.count == Self.secretByteCount else {
      throw IorunError(
        .identityUnusable, "a verifier's secret has 32 bytes, not \(secret.count)",
        remedy: "Make a new one: iorun pow challenge writes it where none is")
    }
    self.secret = secret
  }

  /// A challenge. The same place (device, epoch, round, kind) and times give the same challenge: to
  /// ask twice is to ask once.
  ///
  /// - Throws: `malformed` for a round or times that no challenge can have.
  public func challenge(
    _ puzzle: Puzzle, for device: DeviceID, epoch: Int64, beacon: Digest, round: Int,
    opensAtMilliseconds: Int64, deadlineMilliseconds: Int64
  ) throws -> Challenge {
    let place = "\(device)|\(epoch)|\(beacon)|\(round)|\(puzzle.kind.rawValue)"
    let id = try code("id", place).prefix(Challenge.idByteCount)
    func challenge(_ code: [UInt8]) throws -> Challenge {
      try Challenge(
        id: Array(id), device: device, epoch: epoch, beacon: beacon, round: round,
        opensAtMilliseconds: opensAtMilliseconds, deadlineMilliseconds: deadlineMilliseconds,
        puzzle: puzzle, code: code)
    }
    let blank = try challenge([UInt8](repeating: 0, count: HMACSHA256.byteCount))
    return try challenge(HMACSHA256.code(of: Array(blank.text.utf8), key: secret))
  }

  /// True where this verifier issued exactly this challenge.
  public func issued(_ challenge: Challenge) throws -> Bool {
    try constantTimeEqual(
      HMACSHA256.code(of: Array(challenge.text.utf8), key: secret), challenge.code)
  }

  /// What decides the pieces that are opened: nobody can know it before the roots are committed to.
  /// Whoever hands in a second commitment gets none (``ProofDesk``).
  func openingNonce(for challenge: Challenge, roots: [Digest]) throws -> Digest {
    let text = "\(challenge.seed)|\(AnswerDigest.roots(roots))"
    return try Digest(bytes: code("opening", text)) ?? challenge.seed
  }

  private func code(_ purpose: String, _ text: String) throws -> [UInt8] {
    try HMACSHA256.code(
      of: Array("iorun/\(Challenge.version)|\(purpose)|\(text)".utf8), key: secret)
  }
}
