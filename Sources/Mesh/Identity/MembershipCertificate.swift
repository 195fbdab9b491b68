public import IorunCore
public import IorunCrypto

/// What a network's authority says of a peer, signed (Ed25519): which key it has, what it may do and
/// for how long. Peers check each other's without asking the head; see ``NetworkTrust``.
///
/// The signed bytes are lines of text in a fixed order, and nothing that would be written otherwise
/// is read: the same certificate has one form only. The 64 bytes of the signature follow them.
public struct MembershipCertificate: Hashable, Sendable {
  /// The network's name.
  public var network: String
  /// Drawn at random for each certificate.
  public var serial: UInt64
  /// The peer's Curve25519 public key, 32 bytes: who can prove it is the peer.
  public var publicKey: [UInt8]
  /// What the peer may do.
  public var role: Role
  /// The tenant whose peer it is; empty where it belongs to itself alone.
  public var owner: String
  /// The peer's name for people.
  public var name: String
  /// What its ticket said of it.
  public var labels: [String: String]
  /// Its address in the network's overlay, where it has one.
  public var overlay: String?
  /// Seconds since 1970 (UTC) from which it is good.
  public var notBefore: Int64
  /// Seconds since 1970 (UTC) from which it is good no more.
  public var notAfter: Int64

  /// The most bytes of a certificate, with its signature.
  public static let byteLimit = 8192
  /// The most labels.
  public static let labelLimit = 16
  /// The most bytes of a name, an owner, a label's key or its value.
  public static let textLimit = 128

  private static let title = "iorun certificate 2"

  /// Describes a certificate that is to be signed.
  public init(
    network: String, serial: UInt64, publicKey: [UInt8], role: Role, owner: String = "",
    name: String, labels: [String: String] = [:], overlay: String? = nil, notBefore: Int64,
    notAfter: Int64
  ) {
    self.network = network
    self.serial = serial
    self.publicKey = publicKey
    self.role = role
    self.owner = owner
    self.name = name
    self.labels = labels
    self.overlay = overlay
    self.notBefore = notBefore
    self.notAfter = notAfter
  }

  /// The peer that the certificate names.
  public var peer: PeerID { CurveKey.peer(of: publicKey) }

  /// Signs it: the bytes that travel.
  ///
  /// - Throws: `specInvalid` for a text that no certificate may hold; what signing throws.
  public func signed(by key: SigningKey) throws -> [UInt8] {
    guard isWellFormed else {
      throw IorunError(
        .specInvalid, "a name, an owner or a label is too long or has characters that it may not",
        remedy: "Use at most \(Self.textLimit) bytes without control characters")
    }
    let body = Array(text.utf8)
    return body + (try key.sign(body))
  }

  /// Reads a certificate that one of `keys` signed, whatever it says.
  ///
  /// - Throws: `certificateInvalid`.
  public static func read(_ bytes: [UInt8], signedByOneOf keys: [VerifyingKey]) throws
    -> MembershipCertificate
  {
    guard bytes.count > SigningKey.signatureByteCount, bytes.count <= byteLimit else {
      throw invalid("it has \(bytes.count) bytes")
    }
    let body = Array(bytes.dropLast(SigningKey.signatureByteCount))
    let signature = Array(bytes.suffix(SigningKey.signatureByteCount))
    guard keys.contains(where: { $0.isValid(signature: signature, for: body) }) else {
      throw invalid("no authority of this network has signed it")
    }
    // The signature is good, so what follows fails only between releases that differ.
    guard let text = String(validating: body, as: UTF8.self), let certificate = parse(text),
      certificate.isWellFormed, certificate.text == text
    else { throw invalid("its form is not known here") }
    return certificate
  }

  private var text: String {
    var lines = [
      Self.title, "network \(network)", "serial \(serial)", "key \(Base32.encode(publicKey))",
      "role \(role.rawValue)", "owner \(owner)", "name \(name)", "overlay \(overlay ?? "-")",
      "not-before \(notBefore)", "not-after \(notAfter)",
    ]
    for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
      lines.append("label \(key)=\(value)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func parse(_ text: String) -> MembershipCertificate? {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    func next(_ field: String) -> String? {
      guard let line = lines.popFirst(), line.hasPrefix(field + " ") else { return nil }
      return String(line.dropFirst(field.utf8.count + 1))
    }
    guard lines.popFirst().map(String.init) == title, let network = next("network"),
      let serial = next("serial").flatMap({ UInt64($0) }),
      let key = next("key").flatMap({ Base32.decode($0) }), key.count == CurveKey.byteCount,
      let role = next("role").flatMap(Role.init(rawValue:)), let owner = next("owner"),
      let name = next("name"), let overlay = next("overlay"),
      let notBefore = next("not-before").flatMap({ Int64($0) }),
      let notAfter = next("not-after").flatMap({ Int64($0) }), lines.count <= labelLimit + 1
    else { return nil }
    var labels: [String: String] = [:]
    while lines.count > 1 {
      guard let label = next("label"), let split = label.firstIndex(of: "=") else { return nil }
      labels[String(label[..<split])] = String(label[label.index(after: split)...])
    }
    return MembershipCertificate(
      network: network, serial: serial, publicKey: key, role: role, owner: owner, name: name,
      labels: labels, overlay: overlay == "-" ? nil : overlay, notBefore: notBefore,
      notAfter: notAfter)
  }

  private var isWellFormed: Bool {
    publicKey.count == CurveKey.byteCount && labels.count <= Self.labelLimit
      && ([network, owner, name, overlay ?? ""] + labels.values).allSatisfy(Self.isPlain)
      && labels.keys.allSatisfy { Self.isPlain($0) && !$0.isEmpty && !$0.contains("=") }
  }

  /// True for a text that a certificate may hold: short, and without control characters.
  public static func isPlain(_ text: String) -> Bool {
    text.utf8.count <= textLimit && !text.utf8.contains { $0 < 32 || $0 == 127 }
  }

  private static func invalid(_ reason: String) -> IorunError {
    IorunError(
      .certificateInvalid, "this is no certificate of this network: \(reason)",
      remedy: "Join again with a new ticket")
  }
}
