public import IorunCore
internal import IorunCrypto

/// What a prover hands in: the whole answer, or roots and what was opened of them.
public enum Answer: Hashable, Sendable {
  /// The nonces of a hash puzzle's sketch, by ascending digest.
  case sketch([UInt64])
  /// The roots committed to before, and the opened pieces.
  case opened(roots: [Digest], pieces: [OpenedPiece])
}

/// One piece of committed work, with the way to its root.
public struct OpenedPiece: Hashable, Sendable {
  /// Which root: lane, core or layer.
  public var root: Int
  /// Which piece under it: a leaf's number, a segment's (walker times segments, plus segment), a
  /// tile's (row by row).
  public var index: Int
  /// What stands there: for a segment its first and its last state. Lanes and tiles are computed.
  public var values: [Digest]
  /// The digests beside the way to the root, from the leaf up, for each leaf.
  public var paths: [[Digest]]

  /// Describes a piece.
  public init(root: Int, index: Int, values: [Digest] = [], paths: [[Digest]]) {
    self.root = root
    self.index = index
    self.values = values
    self.paths = paths
  }
}

/// What a device signs of an answer.
enum AnswerDigest {
  /// The digest of roots, one after the other.
  static func roots(_ roots: [Digest]) -> Digest { SHA256.digest(of: roots.flatMap(\.bytes)) }

  /// Of a sketch the nonces, eight big-endian bytes each; else the roots, which hold the pieces.
  static func of(_ answer: Answer) -> Digest {
    switch answer {
    case .opened(let roots, _): return self.roots(roots)
    case .sketch(let nonces):
      var bytes: [UInt8] = []
      bytes.reserveCapacity(8 * nonces.count)
      for nonce in nonces {
        withUnsafeBytes(of: nonce.bigEndian) { bytes.append(contentsOf: $0) }
      }
      return SHA256.digest(of: bytes)
    }
  }
}

extension OpenedPiece: Codable {
  /// Reads a piece. Throws `malformed` for more digests than any piece has.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    root = try values.decode(Int.self, forKey: .root)
    index = try values.decode(Int.self, forKey: .index)
    self.values = try values.decode([Digest].self, forKey: .values)
    paths = try values.decode([[Digest]].self, forKey: .paths)
    guard self.values.count <= 2, paths.count <= 2, paths.allSatisfy({ $0.count <= 64 }) else {
      throw IorunError(.malformed, "an opened piece with more digests than any has")
    }
  }
}

extension Answer: Codable {
  private enum CodingKeys: String, CodingKey { case nonces, roots, pieces }

  /// Most nonces, roots or pieces that are read.
  private static let maximumCount = 4096

  private static func check(_ count: Int) throws {
    guard count <= maximumCount else {
      throw IorunError(.malformed, "an answer of \(count) parts; \(maximumCount) are the most")
    }
  }

  /// Reads `nonces`, or `roots` and `pieces`. Throws `malformed`.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    if values.contains(.nonces) {
      let nonces = try values.decode([String].self, forKey: .nonces).map { text in
        guard text.utf8.count == 16, let bytes = Hex.decode(text) else {
          throw IorunError(.malformed, "a nonce has 16 hexadecimal digits")
        }
        return bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      }
      try Self.check(nonces.count)
      self = .sketch(nonces)
    } else {
      let roots = try values.decode([Digest].self, forKey: .roots)
      let pieces = try values.decode([OpenedPiece].self, forKey: .pieces)
      try Self.check(max(roots.count, pieces.count))
      self = .opened(roots: roots, pieces: pieces)
    }
  }

  /// Writes nonces in hexadecimal, or roots and pieces.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .sketch(let nonces):
      try container.encode(nonces.map { Hex.encode($0) }, forKey: .nonces)
    case .opened(let roots, let pieces):
      try container.encode(roots, forKey: .roots)
      try container.encode(pieces, forKey: .pieces)
    }
  }
}
