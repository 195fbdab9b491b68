import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunMesh
import Logging
import Testing

@testable import IorunWorker

@Suite("A node's certificate")
struct NodeCredentialsTests {
  private let folder: TemporaryFolder
  private let key: CurveKey
  private let authority: SigningKey

  init() throws {
    folder = try TemporaryFolder()
    key = try CurveKey()
    authority = try SigningKey()
  }

  private func credentials(at now: Double = 1_000_000) throws -> NodeCredentials {
    try NodeCredentials(
      folder: folder.path, publicKey: key.publicKey, head: Sample.head,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, now: { now })
  }

  private func admission(
    by signer: SigningKey? = nil, of holder: CurveKey? = nil, sequence: Int64 = 1,
    revoked: [PeerID: Int64] = [:]
  ) throws -> Admission {
    let signer = signer ?? authority
    let holder = holder ?? key
    let certificate = MembershipCertificate(
      network: "net", serial: 1, publicKey: holder.publicKey, role: .supplier, name: "n",
      notBefore: 1_000_000, notAfter: 1_086_400)
    let bundle = TrustBundle(
      network: "net", sequence: sequence,
      authorities: [.init(key: signer.publicKey, acceptedUntil: nil, endorsement: [])],
      revocations: revoked)
    return Admission(
      peer: holder.peer, role: .supplier, certificate: try certificate.signed(by: signer),
      trust: try bundle.signed(by: signer))
  }

  @Test("what the head gave is kept over a restart, in files that only their owner may open")
  func kept() async throws {
    let given = try admission()
    try await credentials().take(given)
    let again = try credentials()
    #expect(again.certificate == given.certificate)
    for name in ["certificate-\(Sample.head.short)", "trust-\(Sample.head.short)"] {
      let path = folder.path + "/" + name
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect(mode == 0o600)
      chmod(path, 0o640)
      #expect(throws: IorunError.self) { _ = try credentials() }
      chmod(path, 0o600)
    }
  }

  @Test("it is renewed near half of its life, long before it ends, and at once where there is news")
  func renewal() async throws {
    try await credentials().take(try admission())
    for (age, isDue) in [(0.0, false), (0.39, false), (0.61, true), (2, true)] {
      let later = try credentials(at: 1_000_000 + age * 86_400)
      #expect(later.isDue(ifNewer: 1) == isDue, "at \(age) of its life")
      #expect(later.isDue(ifNewer: 2))
    }
  }

  @Test("attack: another authority, or another peer's certificate, is not taken once one is pinned")
  func pinned() async throws {
    let credentials = try credentials()
    try await credentials.take(try admission())
    let foreign = try admission(by: try SigningKey(), sequence: 9)
    await #expect(throws: IorunError.self) { try await credentials.take(foreign) }
    let stolen = try admission(of: try CurveKey(), sequence: 9)
    await #expect(throws: IorunError.self) { try await credentials.take(stolen) }
  }

  @Test("peers that were revoked are refused from then on")
  func revoked() async throws {
    let credentials = try credentials()
    let other = try CurveKey()
    let theirs = try admission(of: other)
    #expect(throws: IorunError.self) {
      try credentials.check(theirs.certificate, of: other.publicKey, roles: [.supplier])
    }
    try await credentials.take(try admission())
    _ = try credentials.check(theirs.certificate, of: other.publicKey, roles: [.supplier])
    try await credentials.take(try admission(sequence: 2, revoked: [other.peer: 1_000_000]))
    #expect(credentials.revoked == [other.peer])
    #expect(throws: IorunError.self) {
      try credentials.check(theirs.certificate, of: other.publicKey, roles: [.supplier])
    }
  }
}
