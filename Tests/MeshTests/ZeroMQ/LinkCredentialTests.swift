import IorunCore
import IorunWire
import Synchronization
import Testing

@testable import IorunMesh

/// Links between two nodes, neither of which is the head: both show certificates before anything else
/// is taken. Real sockets; the clock is the tests' own.
struct LinkCredentialTests {
  private static let now = TestAuthority.now

  /// One end: a key, a certificate, and whom it believes.
  private final class End: Sendable {
    let key: CurveKey
    let endpoint: ZeroMQEndpoint
    let receiver: RecordingReceiver
    let allowed = PeerAllowList()
    let clock = Mutex(LinkCredentialTests.now)
    private let certificate: Mutex<[UInt8]?>
    private let trust: Mutex<NetworkTrust>

    init(_ key: CurveKey, _ certificate: [UInt8]?, believing authority: TestAuthority) throws {
      self.key = key
      self.certificate = Mutex(certificate)
      trust = Mutex(try NetworkTrust(pinning: authority.signed()))
      endpoint = try ZeroMQEndpoint(identity: key)
      receiver = RecordingReceiver(endpoint)
    }

    func show(_ bytes: [UInt8]?) { certificate.withLock { $0 = bytes } }

    var credentials: LinkCredentials {
      LinkCredentials(
        certificate: { self.certificate.withLock { $0 } },
        check: { bytes, peer in
          guard let publicKey = self.allowed.key(of: peer) else {
            throw IorunError(.notAllowed, "no business")
          }
          let moment = self.clock.withLock { $0 }
          let known = try self.trust.withLock {
            try $0.check(bytes, of: publicKey, roles: [.supplier], at: moment)
          }
          return Double(known.notAfter + NetworkTrust.clockSkew)
        },
        now: { self.clock.withLock { $0 } })
    }

    func listen() async throws -> String {
      let allowed = allowed
      return try await endpoint.listen(
        on: ["tcp://127.0.0.1:0"], admits: { allowed.admits($0) }, credentials: credentials
      ).addresses[0]
    }

    func dial(_ address: String, _ other: End) -> UplinkMonitor {
      endpoint.dial(
        MeshUplink(address: address, key: other.key.publicKey, credentials: credentials))
    }
  }

  private struct Pair {
    let authority: TestAuthority
    let anna: End
    let bert: End
    let address: String

    /// `nil` shows nothing; otherwise both have what the closure makes for anna.
    init(
      anna certificate: (inout TestAuthority, CurveKey) throws -> [UInt8]?,
      bert other: (inout TestAuthority, CurveKey) throws -> [UInt8]? = {
        try $0.certificate(of: $1)
      }
    ) async throws {
      var authority = try TestAuthority()
      let (annaKey, bertKey) = (try CurveKey(), try CurveKey())
      let shown = (try certificate(&authority, annaKey), try other(&authority, bertKey))
      anna = try End(annaKey, shown.0, believing: authority)
      bert = try End(bertKey, shown.1, believing: authority)
      anna.allowed.set([bertKey.publicKey])
      bert.allowed.set([annaKey.publicKey])
      self.authority = authority
      address = try await bert.listen()
    }

    func stop() async {
      await anna.endpoint.stop(drainingFor: .zero)
      await bert.endpoint.stop(drainingFor: .zero)
    }

    /// Anna dials, and hears that code; nothing that she sends arrives.
    func expectRefusal(_ code: IorunError.Code) async throws {
      let monitor = anna.dial(address, bert)
      // Goes right behind the greeting.
      try anna.endpoint.send([1], to: bert.key.peer, in: .actor)
      #expect(
        await eventually { monitor.lastFailure?.code == code },
        "\(String(describing: monitor.lastFailure)) instead of \(code)")
      #expect(try await anna.endpoint.isDirect(to: bert.key.peer) == false)
      #expect(try await bert.endpoint.isDirect(to: anna.key.peer) == false)
      #expect(bert.receiver.payloads.isEmpty)
    }
  }

  @Test func `two nodes with certificates of one network have a link`() async throws {
    let pair = try await Pair(anna: { try $0.certificate(of: $1) })
    let monitor = pair.anna.dial(pair.address, pair.bert)
    try await monitor.waitUntilUp(within: .seconds(20))
    try pair.anna.endpoint.send([7], to: pair.bert.key.peer, in: .actor)
    #expect(await eventually { pair.bert.receiver.payloads.map(\.bytes) == [[7]] })
    await pair.stop()
  }

  @Test func `attack: a dialler without a certificate`() async throws {
    let pair = try await Pair(anna: { _, _ in nil })
    try await pair.expectRefusal(.certificateInvalid)
    await pair.stop()
    // One that leaves the check out on its own side does not get further.
    let open = try await Pair(anna: { _, _ in nil })
    let monitor = open.anna.endpoint.dial(
      MeshUplink(address: open.address, key: open.bert.key.publicKey))
    #expect(await eventually { monitor.lastFailure?.code == .certificateInvalid })
    #expect(open.bert.receiver.payloads.isEmpty)
    await open.stop()
  }

  @Test func `attack: an expired certificate`() async throws {
    let pair = try await Pair(anna: {
      try $0.certificate(of: $1, from: Int64(Self.now) - TestAuthority.day - 301)
    })
    try await pair.expectRefusal(.certificateExpired)
    await pair.stop()
  }

  @Test func `attack: a revoked peer's certificate`() async throws {
    let pair = try await Pair(anna: { authority, key in
      let certificate = try authority.certificate(of: key)
      authority.bundle.revocations[key.peer] = Int64(Self.now) + 1
      return certificate
    })
    try await pair.expectRefusal(.peerRevoked)
    await pair.stop()
  }

  @Test func `attack: a buyer's certificate`() async throws {
    let pair = try await Pair(anna: { try $0.certificate(of: $1, role: .buyer) })
    try await pair.expectRefusal(.notAllowed)
    await pair.stop()
  }

  @Test func `attack: a certificate of a foreign authority, of another network, of another peer`()
    async throws
  {
    let foreign = try await Pair(anna: { try TestAuthority().certificate(of: $1) })
    try await foreign.expectRefusal(.certificateInvalid)
    await foreign.stop()
    let other = try await Pair(anna: { try $0.certificate(of: $1, network: "net-other") })
    try await other.expectRefusal(.certificateInvalid)
    await other.stop()
    let stolen = try await Pair(anna: { authority, _ in try authority.certificate(of: CurveKey()) })
    try await stolen.expectRefusal(.certificateInvalid)
    await stolen.stop()
  }

  @Test func `attack: whoever listens shows no good certificate either`() async throws {
    let foreign = try await Pair(
      anna: { try $0.certificate(of: $1) }, bert: { try TestAuthority().certificate(of: $1) })
    let monitor = foreign.anna.dial(foreign.address, foreign.bert)
    #expect(await eventually { monitor.lastFailure?.code == .certificateInvalid })
    #expect(try await foreign.anna.endpoint.isDirect(to: foreign.bert.key.peer) == false)
    #expect(foreign.anna.receiver.payloads.isEmpty)
    await foreign.stop()
    let none = try await Pair(anna: { try $0.certificate(of: $1) }, bert: { _, _ in nil })
    let refused = none.anna.dial(none.address, none.bert)
    #expect(await eventually { refused.lastFailure?.code == .certificateInvalid })
    #expect(try await none.bert.endpoint.isDirect(to: none.anna.key.peer) == false)
    await none.stop()
  }

  @Test func `a link ends with the certificate, and comes back with a fresh one`() async throws {
    let pair = try await Pair(anna: { try $0.certificate(of: $1) })
    try await pair.anna.dial(pair.address, pair.bert).waitUntilUp(within: .seconds(20))
    let later = Self.now + Double(TestAuthority.day + NetworkTrust.clockSkew) + 1
    for end in [pair.anna, pair.bert] { end.clock.withLock { $0 = later } }
    let monitor = pair.anna.dial(pair.address, pair.bert)
    #expect(await eventually { monitor.lastFailure?.code == .certificateExpired })
    for end in [pair.anna, pair.bert] {
      end.show(try pair.authority.certificate(of: end.key, from: Int64(later)))
    }
    try await monitor.waitUntilUp(within: .seconds(30))
    try pair.anna.endpoint.send([9], to: pair.bert.key.peer, in: .actor)
    #expect(await eventually { pair.bert.receiver.payloads.last?.bytes == [9] })
    await pair.stop()
  }
}
