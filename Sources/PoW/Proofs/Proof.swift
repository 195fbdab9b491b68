public import IorunCore
internal import IorunCrypto

/// Roots that a prover cannot change any more: it hands them in, then hears what to open.
public struct Commitment: Hashable, Codable, Sendable {
  /// The challenge, as it was issued.
  public let challenge: Challenge
  /// A root for each lane, core or layer.
  public let roots: [Digest]
  /// The device's word for it.
  public let seal: Seal

  /// Seals roots with the device's key. Throws what signing throws.
  public init(_ challenge: Challenge, roots: [Digest], signedBy signer: ProofSigner) throws {
    self.challenge = challenge
    self.roots = roots
    seal = try signer.seal(
      Seal.text("commitment", challenge, AnswerDigest.roots(roots)))
  }
}

/// Which pieces of a commitment are to be opened: all follow from one nonce.
public struct OpeningRequest: Hashable, Codable, Sendable {
  /// The challenge, as it was issued.
  public let challenge: Challenge
  /// What decides.
  public let nonce: Digest

  /// The pieces, as root and index.
  public var places: [(root: Int, index: Int)] {
    let puzzle = challenge.puzzle
    let indexes =
      switch puzzle {
      case .hash: 0
      case .lane(let lane): 1 << lane.depth
      case .memory(let memory), .gpuMemory(let memory):
        MemoryPuzzle.walkersPerCore * memory.segments
      case .product(let product): product.tileCount
      }
    return (0..<puzzle.openings).map { number in
      let draw = SHA256.digest(of: nonce.bytes + Words.bytes(UInt32(number))).bytes
      let halves = Words.words(draw.prefix(16))
      return (
        Int(Chain.place(halves[0], halves[1], of: UInt64(puzzle.rootCount))),
        Int(Chain.place(halves[2], halves[3], of: UInt64(indexes)))
      )
    }
  }
}

/// An answer to a challenge, sealed by the device.
public struct Proof: Hashable, Codable, Sendable {
  /// The challenge, as it was issued.
  public let challenge: Challenge
  /// The answer.
  public let answer: Answer
  /// The device's word for it.
  public let seal: Seal

  /// What the device seals of the answer: two answers with the same digest are the same.
  public var answerDigest: Digest { AnswerDigest.of(answer) }

  /// Seals an answer with the device's key. Throws what signing throws.
  public init(_ challenge: Challenge, _ answer: Answer, signedBy signer: ProofSigner) throws {
    self.challenge = challenge
    self.answer = answer
    seal = try signer.seal(Seal.text("proof", challenge, AnswerDigest.of(answer)))
  }
}

/// A device's word for a text: its Ed25519 signature, or a code under the key of a session that it
/// signed for (checking one costs a hundredth).
public enum Seal: Hashable, Sendable {
  /// 64 bytes, by the device's own key.
  case signature([UInt8])
  /// HMAC-SHA256, under a ``ProofSession``'s key.
  case code([UInt8])

  /// What is sealed, as text: purpose, digest of the challenge, digest of the answer.
  static func text(_ purpose: String, _ challenge: Challenge, _ answer: Digest) -> [UInt8] {
    Array("iorun/\(Challenge.version)|\(purpose)|\(challenge.seed)|\(answer)".utf8)
  }
}

extension Seal: Codable {
  private enum CodingKeys: String, CodingKey { case signature, code }

  /// Reads `signature` or `code`. Throws `malformed`.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let isSignature = values.contains(.signature)
    let text = try values.decode(String.self, forKey: isSignature ? .signature : .code)
    guard let bytes = Hex.decode(text), bytes.count <= SigningKey.signatureByteCount else {
      throw IorunError(.malformed, "a seal is hexadecimal")
    }
    self = isSignature ? .signature(bytes) : .code(bytes)
  }

  /// Writes the one that it is.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .signature(let bytes): try container.encode(Hex.encode(bytes), forKey: .signature)
    case .code(let bytes): try container.encode(Hex.encode(bytes), forKey: .code)
    }
  }
}
