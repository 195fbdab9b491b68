public import IorunCore
public import IorunCrypto

/// The transitions of one epoch under one signed root: nobody can change a mark afterwards, and
/// anybody can check that an entry is there.
public struct VerdictLog: Sendable {
  /// A root, and the verifier's signature of it.
  public struct Head: Hashable, Codable, Sendable {
    /// The epoch.
    public let epoch: Int64
    /// How many entries.
    public let count: Int
    /// The Merkle root (RFC 6962) of the entries' texts.
    public let root: Digest
    /// Ed25519, of `iorun/pow/1|log|EPOCH|COUNT|ROOT`.
    public let signature: Seal

    fileprivate static func text(_ epoch: Int64, _ count: Int, _ root: Digest) -> [UInt8] {
      Array("iorun/\(Challenge.version)|log|\(epoch)|\(count)|\(root)".utf8)
    }

    /// True where the owner of `key` signed this head.
    public func isSigned(by key: VerifyingKey) -> Bool {
      guard case .signature(let bytes) = signature else { return false }
      return key.isValid(signature: bytes, for: Self.text(epoch, count, root))
    }

    /// True where `path` shows that an entry is number `index` under this head.
    public func contains(_ entry: Transition, at index: Int, path: [Digest]) -> Bool {
      MerkleTree.isValid(
        path, leaf: MerkleTree.leafDigest(of: Array(entry.text.utf8)), index: index, count: count,
        root: root)
    }
  }

  /// The epoch.
  public let epoch: Int64
  /// The entries, in the order in which they came.
  public private(set) var entries: [Transition] = []

  /// Most entries of an epoch.
  public static let maximumCount = 1 << 22

  /// An empty log.
  public init(epoch: Int64) { self.epoch = epoch }

  /// Adds an entry. Throws `malformed` for another epoch's, `overloaded` where the log is full.
  public mutating func add(_ entry: Transition) throws {
    guard entry.epoch == epoch else {
      throw IorunError(.malformed, "an entry of epoch \(entry.epoch) in the log of \(epoch)")
    }
    guard entries.count < Self.maximumCount else {
      throw IorunError(.overloaded, "the log of epoch \(epoch) is full")
    }
    entries.append(entry)
  }

  private var tree: MerkleTree {
    MerkleTree(
      leafDigests: entries.flatMap { MerkleTree.leafDigest(of: Array($0.text.utf8)).bytes })
  }

  /// Closes the hour. Throws what signing throws.
  public func head(signedBy key: SigningKey) throws -> Head {
    let root = tree.root
    return Head(
      epoch: epoch, count: entries.count, root: root,
      signature: .signature(try key.sign(Head.text(epoch, entries.count, root))))
  }

  /// The way from an entry to the root.
  public func path(to index: Int) -> [Digest] { tree.path(to: index) }
}
