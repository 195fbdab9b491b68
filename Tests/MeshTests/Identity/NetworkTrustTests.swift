import IorunCore
import IorunCrypto
import TestSupport
import Testing

@testable import IorunMesh

/// An authority with keys, for tests.
struct TestAuthority {
  static let network = "net-test"
  static let day: Int64 = 86_400
  static let now = 1_000_000.0

  var keys: [SigningKey]
  var bundle: TrustBundle

  init() throws {
    let key = try SigningKey()
    keys = [key]
    bundle = TrustBundle(
      network: Self.network, sequence: 1,
      authorities: [.init(key: key.publicKey, acceptedUntil: nil, endorsement: [])],
      revocations: [:])
  }

  mutating func rotate(acceptedUntil: Int64) throws {
    let next = try SigningKey()
    bundle.authorities[bundle.authorities.count - 1].acceptedUntil = acceptedUntil
    bundle.authorities.append(
      .init(
        key: next.publicKey, acceptedUntil: nil,
        endorsement: try keys[keys.count - 1].sign(
          TrustBundle.endorsement(of: next.publicKey, network: bundle.network))))
    keys.append(next)
    bundle.sequence += 1
  }

  func signed() throws -> [UInt8] { try bundle.signed(by: keys[keys.count - 1]) }

  func certificate(
    of key: CurveKey, role: Role = .supplier, from: Int64 = Int64(now), network: String = network,
    labels: [String: String] = [:], signer: Int? = nil
  ) throws -> [UInt8] {
    try MembershipCertificate(
      network: network, serial: 7, publicKey: key.publicKey, role: role, owner: "acme",
      name: "node-1", labels: labels, overlay: "fd00::7", notBefore: from, notAfter: from + Self.day
    ).signed(by: keys[signer ?? keys.count - 1])
  }
}

@Suite("Certificates and whom to believe", .timeLimit(.minutes(2)))
struct NetworkTrustTests {
  private let now = TestAuthority.now

  private func expect(_ code: IorunError.Code, _ body: () throws -> Void) {
    do {
      try body()
      Issue.record("nothing was thrown instead of \(code)")
    } catch {
      #expect((error as? IorunError)?.code == code, "\(error)")
    }
  }

  @Test("a certificate says what was signed, to whoever proves its key")
  func good() throws {
    let authority = try TestAuthority()
    let key = try CurveKey()
    let trust = try NetworkTrust(pinning: try authority.signed())
    let bytes = try authority.certificate(of: key, labels: ["b": "2", "a": "x=y"])
    let certificate = try trust.check(bytes, of: key.publicKey, roles: [.supplier], at: now)
    #expect(certificate.peer == key.peer && certificate.role == .supplier)
    #expect(certificate.owner == "acme" && certificate.overlay == "fd00::7")
    #expect(certificate.labels == ["b": "2", "a": "x=y"])
  }

  @Test(
    "attack: another peer's certificate, an expired one, one of a wrong role, one of another network"
  )
  func refused() throws {
    let authority = try TestAuthority()
    let (key, thief) = (try CurveKey(), try CurveKey())
    let trust = try NetworkTrust(pinning: try authority.signed())
    let bytes = try authority.certificate(of: key)
    expect(.certificateInvalid) { _ = try trust.check(bytes, of: thief.publicKey, at: now) }
    expect(.notAllowed) {
      _ = try trust.check(bytes, of: key.publicKey, roles: [.operator], at: now)
    }
    let late = now + Double(TestAuthority.day + NetworkTrust.clockSkew)
    expect(.certificateExpired) { _ = try trust.check(bytes, of: key.publicKey, at: late) }
    _ = try trust.check(bytes, of: key.publicKey, at: late - 1)
    let early = now - Double(NetworkTrust.clockSkew) - 1
    expect(.certificateExpired) { _ = try trust.check(bytes, of: key.publicKey, at: early) }
    let foreign = try authority.certificate(of: key, network: "net-other")
    expect(.certificateInvalid) { _ = try trust.check(foreign, of: key.publicKey, at: now) }
    let stranger = try TestAuthority().certificate(of: key)
    expect(.certificateInvalid) { _ = try trust.check(stranger, of: key.publicKey, at: now) }
  }

  @Test("attack: a revoked peer's certificate is refused; one that was given later is not")
  func revoked() throws {
    var authority = try TestAuthority()
    let key = try CurveKey()
    var trust = try NetworkTrust(pinning: try authority.signed())
    let bytes = try authority.certificate(of: key)
    authority.bundle.revocations[key.peer] = Int64(now)
    authority.bundle.sequence += 1
    let newer = try authority.signed()
    try trust.take(newer)
    expect(.peerRevoked) { _ = try trust.check(bytes, of: key.publicKey, at: now) }
    let later = try authority.certificate(of: key, from: Int64(now) + 10)
    _ = try trust.check(later, of: key.publicKey, at: now + 10)
    // An older bundle, replayed, does not bring the peer back.
    authority.bundle.revocations = [:]
    authority.bundle.sequence = 1
    try trust.take(try authority.signed())
    expect(.peerRevoked) { _ = try trust.check(bytes, of: key.publicKey, at: now) }
  }

  @Test("after a rotation old and new certificates are good, and the old ones end with the overlap")
  func rotation() throws {
    var authority = try TestAuthority()
    let key = try CurveKey()
    var trust = try NetworkTrust(pinning: try authority.signed())
    let old = try authority.certificate(of: key)
    try authority.rotate(acceptedUntil: Int64(now) + 100)
    let new = try authority.certificate(of: key)
    expect(.certificateInvalid) { _ = try trust.check(new, of: key.publicKey, at: now) }
    try trust.take(try authority.signed())
    _ = try trust.check(old, of: key.publicKey, at: now + 99)
    _ = try trust.check(new, of: key.publicKey, at: now)
    expect(.certificateInvalid) { _ = try trust.check(old, of: key.publicKey, at: now + 100) }
    // Who slept through several rotations follows the chain.
    var sleeper = try NetworkTrust(pinning: try TestAuthority.first(of: authority))
    for _ in 0..<3 { try authority.rotate(acceptedUntil: Int64(now)) }
    try sleeper.take(try authority.signed())
    _ = try sleeper.check(
      try authority.certificate(of: key), of: key.publicKey, at: now)
  }

  @Test("attack: a key that the one before has not endorsed is not believed")
  func forgedRotation() throws {
    var authority = try TestAuthority()
    var trust = try NetworkTrust(pinning: try authority.signed())
    let thief = try SigningKey()
    authority.bundle.authorities[0].acceptedUntil = 5
    authority.bundle.authorities.append(
      .init(
        key: thief.publicKey, acceptedUntil: nil,
        endorsement: try thief.sign(
          TrustBundle.endorsement(of: thief.publicKey, network: TestAuthority.network))))
    authority.bundle.sequence = 9
    let forged = try authority.bundle.signed(by: thief)
    expect(.certificateInvalid) { try trust.take(forged) }
    // Nor one whose chain does not begin with a known key.
    var other = try TestAuthority()
    other.bundle.sequence = 9
    let foreign = try other.signed()
    expect(.certificateInvalid) { try trust.take(foreign) }
  }

  @Test("changed bytes of certificates and bundles are refused, whatever was changed")
  func mutations() throws {
    var authority = try TestAuthority()
    try authority.rotate(acceptedUntil: 99)
    authority.bundle.revocations[PeerID(high: 1, low: 2)] = 5
    let key = try CurveKey()
    let certificate = try authority.certificate(of: key, labels: ["a": "b"])
    let bundle = try authority.signed()
    let trust = try NetworkTrust(pinning: bundle)
    var generator = SeededGenerator(seed: 20_261_128)
    for _ in 0..<1500 {
      let (one, other) = (mutate(certificate, &generator), mutate(bundle, &generator))
      if one != certificate {
        #expect(throws: IorunError.self) { try trust.check(one, of: key.publicKey, at: now) }
      }
      if other != bundle {
        var taker = trust
        #expect(throws: IorunError.self) { try taker.take(other) }
      }
    }
  }

  private func mutate(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      let index = Int.random(in: 0..<max(1, bytes.count), using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0 where !bytes.isEmpty: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      case 1: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
      case 2 where !bytes.isEmpty: bytes.remove(at: index)
      default: bytes = Array(bytes.prefix(index))
      }
    }
    return bytes
  }

  @Test("texts that would break the form are not signed")
  func injection() throws {
    let key = try SigningKey()
    var certificate = MembershipCertificate(
      network: "n", serial: 1, publicKey: try CurveKey().publicKey, role: .buyer,
      name: "x\nrole operator", notBefore: 0, notAfter: 1)
    expect(.specInvalid) { _ = try certificate.signed(by: key) }
    certificate.name = "x"
    certificate.labels = ["a=b": "c"]
    expect(.specInvalid) { _ = try certificate.signed(by: key) }
    certificate.labels = [:]
    certificate.owner = String(repeating: "o", count: 129)
    expect(.specInvalid) { _ = try certificate.signed(by: key) }
  }
}

extension TestAuthority {
  /// The bundle as it was before the first rotation.
  fileprivate static func first(of authority: TestAuthority) throws -> [UInt8] {
    var bundle = authority.bundle
    bundle.authorities = [bundle.authorities[0]]
    bundle.authorities[0].acceptedUntil = nil
    bundle.sequence = 1
    return try bundle.signed(by: authority.keys[0])
  }
}
