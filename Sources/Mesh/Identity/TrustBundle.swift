public import IorunCore
public import IorunCrypto

/// What a network's peers must agree on to check each other's certificates: the authority's keys, each
/// endorsed by the one before it, and who was revoked. Signed by the newest key.
///
/// A peer that pinned any key of the chain can follow it to the newest one, however long it slept.
public struct TrustBundle: Hashable, Sendable {
  /// One key of the authority.
  public struct Authority: Hashable, Sendable {
    /// The Ed25519 public key, 32 bytes.
    public var key: [UInt8]
    /// Seconds since 1970 (UTC) until which its certificates are good; `nil` for the present key.
    public var acceptedUntil: Int64?
    /// The signature of the key before it over ``TrustBundle/endorsement(of:network:)``; empty for the
    /// network's first key.
    public var endorsement: [UInt8]

    /// Describes a key.
    public init(key: [UInt8], acceptedUntil: Int64?, endorsement: [UInt8]) {
      self.key = key
      self.acceptedUntil = acceptedUntil
      self.endorsement = endorsement
    }
  }

  /// The network's name.
  public var network: String
  /// Grows with every change: an older bundle never replaces a newer one.
  public var sequence: Int64
  /// The keys, the oldest first.
  public var authorities: [Authority]
  /// When each revoked peer was revoked, in seconds since 1970 (UTC).
  public var revocations: [PeerID: Int64]

  /// The most keys in a chain.
  public static let authorityLimit = 32
  /// The most revocations: those whose certificates have expired anyway need not be told.
  public static let revocationLimit = 10_000
  /// The most bytes.
  public static let byteLimit = 768 * 1024

  private static let title = "iorun trust 1"

  /// Describes a bundle.
  public init(
    network: String, sequence: Int64, authorities: [Authority], revocations: [PeerID: Int64]
  ) {
    self.network = network
    self.sequence = sequence
    self.authorities = authorities
    self.revocations = revocations
  }

  /// The bytes that a key signs to name the next one.
  public static func endorsement(of key: [UInt8], network: String) -> [UInt8] {
    Array("iorun authority 1\nnetwork \(network)\nkey \(Base32.encode(key))\n".utf8)
  }

  /// Signs it: the bytes that travel.
  ///
  /// - Throws: what signing throws.
  public func signed(by key: SigningKey) throws -> [UInt8] {
    let body = Array(text.utf8)
    return body + (try key.sign(body))
  }

  /// Reads a bundle of a chain that holds one of `pinned`.
  ///
  /// - Parameter pinned: keys of the authority that are trusted already.
  /// - Throws: `certificateInvalid`.
  public static func read(_ bytes: [UInt8], pinned: [[UInt8]]) throws -> TrustBundle {
    try check(bytes, try parse(bytes), pinned: pinned)
  }

  /// Reads a bundle that came from the head itself, whose word is enough for the newest key.
  static func readNewestPinned(_ bytes: [UInt8]) throws -> TrustBundle {
    let bundle = try parse(bytes)
    return try check(bytes, bundle, pinned: bundle.authorities.suffix(1).map(\.key))
  }

  private static func parse(_ bytes: [UInt8]) throws -> TrustBundle {
    guard bytes.count > SigningKey.signatureByteCount, bytes.count <= byteLimit else {
      throw invalid("it has \(bytes.count) bytes")
    }
    let body = bytes.dropLast(SigningKey.signatureByteCount)
    guard let text = String(validating: body, as: UTF8.self), let bundle = parse(text),
      bundle.text == text
    else { throw invalid("its form is not known here") }
    return bundle
  }

  private static func check(_ bytes: [UInt8], _ bundle: TrustBundle, pinned: [[UInt8]]) throws
    -> TrustBundle
  {
    let body = Array(bytes.dropLast(SigningKey.signatureByteCount))
    guard let start = bundle.authorities.lastIndex(where: { pinned.contains($0.key) }),
      let newest = bundle.authorities.last
    else { throw invalid("it begins with no key that this peer knows") }
    for (before, after) in zip(bundle.authorities[start...], bundle.authorities[(start + 1)...]) {
      let words = endorsement(of: after.key, network: bundle.network)
      guard
        (try? VerifyingKey(rawRepresentation: before.key))?
          .isValid(signature: after.endorsement, for: words) == true
      else { throw invalid("a key of it is not endorsed by the one before") }
    }
    guard
      (try? VerifyingKey(rawRepresentation: newest.key))?.isValid(
        signature: Array(bytes.suffix(SigningKey.signatureByteCount)), for: body) == true
    else { throw invalid("its newest key has not signed it") }
    return bundle
  }

  private var text: String {
    var lines = [Self.title, "network \(network)", "sequence \(sequence)"]
    lines += authorities.map { authority in
      let until = authority.acceptedUntil.map(String.init) ?? "-"
      let endorsement = authority.endorsement.isEmpty ? "-" : Base32.encode(authority.endorsement)
      return "authority \(Base32.encode(authority.key)) \(until) \(endorsement)"
    }
    lines += revocations.sorted { $0.key < $1.key }.map { "revoked \($0.key) \($0.value)" }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func parse(_ text: String) -> TrustBundle? {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    guard lines.popFirst().map(String.init) == title, lines.last == "",
      lines.count <= authorityLimit + revocationLimit + 3,
      let network = lines.popFirst(), network.hasPrefix("network "),
      let sequence = lines.popFirst(), sequence.hasPrefix("sequence "),
      let number = Int64(sequence.dropFirst("sequence ".count))
    else { return nil }
    var bundle = TrustBundle(
      network: String(network.dropFirst("network ".count)), sequence: number, authorities: [],
      revocations: [:])
    for line in lines.dropLast() {
      let fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
      switch (fields.first, fields.count) {
      case ("authority", 4):
        guard let key = Base32.decode(fields[1]), key.count == SigningKey.byteCount,
          fields[2] == "-" || Int64(fields[2]) != nil,
          let endorsement = fields[3] == "-" ? [] : Base32.decode(fields[3])
        else { return nil }
        bundle.authorities.append(
          Authority(key: key, acceptedUntil: Int64(fields[2]), endorsement: endorsement))
      case ("revoked", 3):
        guard let peer = PeerID(fields[1]), let time = Int64(fields[2]) else { return nil }
        bundle.revocations[peer] = time
      default: return nil
      }
    }
    guard (1...authorityLimit).contains(bundle.authorities.count) else { return nil }
    return bundle
  }

  private static func invalid(_ reason: String) -> IorunError {
    IorunError(
      .certificateInvalid, "these are no authority keys of this network: \(reason)",
      remedy: "Join again with a new ticket")
  }
}
