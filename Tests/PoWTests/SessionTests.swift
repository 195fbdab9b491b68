import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

/// Seals by session: as good as a signature for the verifier that shares the key, and for nobody else.
@Suite("Sessions of devices")
struct SessionTests {
  private let world: PoWWorld
  private let challenge: Challenge
  private let answer: Answer

  init() async throws {
    world = try PoWWorld()
    challenge = try world.challenge(PoWWorld.puzzle(.hash))
    answer = try await world.solve(challenge).proof.answer
  }

  private func refusal(
    of signer: ProofSigner, from submitter: Verifier.Submitter, epoch: Int64 = PoWWorld.epoch
  ) throws -> Refusal? {
    try refusal(of: Proof(challenge, answer, signedBy: signer), from: submitter, epoch: epoch)
  }

  private func refusal(
    of proof: Proof, from submitter: Verifier.Submitter, epoch: Int64 = PoWWorld.epoch
  ) throws -> Refusal? {
    try world.verifier.verdict(
      on: proof, from: submitter, epoch: epoch, arrivalMilliseconds: PoWWorld.opens + 10
    ).refusal
  }

  @Test("a session's code is as good as a signature, for the verifier that shares the key only")
  func code() throws {
    let (device, verifier) = try world.session()
    #expect(try refusal(of: .session(device), from: .session(verifier)) == nil)
    #expect(try refusal(of: .session(device), from: .anybody) == .notSealed)
    #expect(try refusal(of: .session(device), from: .sessionless) == .sessionUnknown)
    // Who has a session may sign all the same.
    for submitter in [Verifier.Submitter.session(verifier), .sessionless, .anybody] {
      #expect(try refusal(of: .device(world.key), from: submitter) == nil)
    }
  }

  @Test("forged code: no bit of a session's code, nor of what it seals, can be another")
  func forged() throws {
    let (device, verifier) = try world.session()
    let proof = try Proof(challenge, answer, signedBy: .session(device))
    guard case .code(let code) = proof.seal, case .sketch(var nonces) = answer else {
      Issue.record("no code")
      return
    }
    /// The proof with another seal or answer, by way of its document: no device makes such a one.
    func changed(_ key: String, to value: Any) throws -> Proof {
      let object = try JSONSerialization.jsonObject(with: ProofDocument.encode(proof))
      var fields = try #require(object as? [String: Any])
      fields[key] = value
      return try ProofDocument.decode(
        Proof.self, from: JSONSerialization.data(withJSONObject: fields))
    }
    #expect(
      try refusal(of: changed("seal", to: ["code": Hex.encode(code)]), from: .session(verifier))
        == nil)
    for bit in 0..<8 * code.count {
      var other = code
      other[bit / 8] ^= 1 << (bit % 8)
      let forged = try changed("seal", to: ["code": Hex.encode(other)])
      #expect(try refusal(of: forged, from: .session(verifier)) == .notSealed, "bit \(bit)")
    }
    for other in [[], Array(code.dropLast()), code + [0]] {
      let forged = try changed("seal", to: ["code": Hex.encode(other)])
      #expect(try refusal(of: forged, from: .session(verifier)) == .notSealed)
    }
    nonces[0] ^= 1
    let moved = try changed("answer", to: ["nonces": nonces.map { Hex.encode($0) }])
    #expect(try refusal(of: moved, from: .session(verifier)) == .notSealed)
  }

  @Test("stolen session: another device's seals nothing, and none is begun for another")
  func stolen() throws {
    let thief = try SigningKey()
    let (device, verifier) = try world.session(key: thief)
    #expect(try refusal(of: .session(device), from: .session(verifier)) == .wrongDevice)
    let (_, own) = try world.session()
    #expect(try refusal(of: .session(device), from: .session(own)) == .notSealed)
    // Its key under another's name, and another verifier's or beacon's hello.
    let hello = try ProofSession.Offer(
      to: PoWWorld.here, epoch: PoWWorld.epoch, beacon: world.beacon, key: thief
    ).hello
    let renamed = ProofSession.Hello(
      device: world.device, verifier: hello.verifier, epoch: hello.epoch, beacon: hello.beacon,
      publicKey: hello.publicKey, signature: hello.signature)
    let later = ProofSession.Hello(
      device: hello.device, verifier: hello.verifier, epoch: hello.epoch + 1,
      beacon: hello.beacon, publicKey: hello.publicKey, signature: hello.signature)
    let unsigned = ProofSession.Hello(
      device: hello.device, verifier: hello.verifier, epoch: hello.epoch, beacon: hello.beacon,
      publicKey: hello.publicKey, signature: .code([UInt8](repeating: 0, count: 32)))
    let other = PeerID(high: 2, low: 2)
    for (hello, by, beacon) in [
      (renamed, PoWWorld.here, world.beacon), (later, PoWWorld.here, world.beacon),
      (unsigned, PoWWorld.here, world.beacon), (hello, other, world.beacon),
      (hello, PoWWorld.here, SHA256.digest(of: [1])),
    ] {
      let error = #expect(throws: IorunError.self) {
        try ProofSession.accept(hello, by: by, beacon: beacon)
      }
      #expect(error?.code == .notAllowed)
    }
    _ = try ProofSession.accept(hello, by: PoWWorld.here, beacon: world.beacon)
  }

  @Test("a key of small order gives no session: anybody could compute its secret")
  func smallOrder() throws {
    let zero = try #require(Digest(bytes: [UInt8](repeating: 0, count: 32)))
    let unsigned = ProofSession.Hello(
      device: world.device, verifier: PoWWorld.here, epoch: 1, beacon: world.beacon,
      publicKey: zero, signature: .signature([]))
    let hello = ProofSession.Hello(
      device: world.device, verifier: PoWWorld.here, epoch: 1, beacon: world.beacon,
      publicKey: zero, signature: .signature(try world.key.sign(unsigned.text)))
    let error = #expect(throws: IorunError.self) {
      try ProofSession.accept(hello, by: PoWWorld.here, beacon: world.beacon)
    }
    #expect(error?.code == .malformed)
  }

  @Test("old session: it seals nothing of another epoch, and is forgotten with its own")
  func expired() throws {
    let (device, verifier) = try world.session(epoch: PoWWorld.epoch - 1)
    #expect(try refusal(of: .session(device), from: .session(verifier)) == .notSealed)
    #expect(!device.serves(challenge))
    // Its own challenges are over with their epoch, whatever seals them.
    let (present, same) = try world.session()
    #expect(
      try refusal(of: .session(present), from: .session(same), epoch: PoWWorld.epoch + 2)
        == .wrongEpoch)
    var sessions = ProofSessions()
    sessions.keep(verifier)
    #expect(sessions.session(of: world.device, epoch: PoWWorld.epoch) == nil)
    #expect(sessions.session(of: world.device, epoch: PoWWorld.epoch - 1) != nil)
    sessions.forget(before: PoWWorld.epoch)
    #expect(sessions.count == 0)
  }

  @Test("replay across sessions: the same hello again gives another key, and old codes nothing")
  func replayed() throws {
    let offer = try ProofSession.Offer(
      to: PoWWorld.here, epoch: PoWWorld.epoch, beacon: world.beacon, key: world.key)
    let first = try ProofSession.accept(offer.hello, by: PoWWorld.here, beacon: world.beacon)
    let device = try offer.session(with: first.publicKey)
    let again = try ProofSession.accept(offer.hello, by: PoWWorld.here, beacon: world.beacon)
    #expect(first.publicKey != again.publicKey)
    #expect(device.isSame(as: first.session) && !device.isSame(as: again.session))
    #expect(try refusal(of: .session(device), from: .session(first.session)) == nil)
    #expect(try refusal(of: .session(device), from: .session(again.session)) == .notSealed)
  }

  @Test("a code of a lost or another session takes nobody's place: the signed answer still counts")
  func place() throws {
    let (device, verifier) = try world.session()
    let (other, _) = try world.session()
    var desk = ProofDesk(world.verifier)
    func submit(_ signer: ProofSigner, _ submitter: Verifier.Submitter) throws -> Refusal? {
      try desk.submit(
        Proof(challenge, answer, signedBy: signer), from: submitter, epoch: PoWWorld.epoch,
        nowMilliseconds: PoWWorld.opens + 10
      ).refusal
    }
    #expect(try submit(.session(device), .sessionless) == .sessionUnknown)
    #expect(try submit(.session(other), .session(verifier)) == .notSealed)
    #expect(desk.count == 0)
    #expect(try submit(.device(world.key), .session(verifier)) == nil)
    #expect(!Refusal.sessionUnknown.isDishonest)
  }

  @Test("sessions are bounded: one a device, and who was silent longest goes first")
  func bounded() throws {
    var sessions = ProofSessions(maximum: 3)
    let keys = try (0..<4).map { _ in try SigningKey() }
    func isKept(_ index: Int) -> Bool {
      sessions.session(of: DeviceID(keys[index]), epoch: PoWWorld.epoch) != nil
    }
    for index in 0..<3 {
      sessions.keep(try world.session(key: keys[index]).verifier)
      sessions.keep(try world.session(key: keys[index]).verifier)
    }
    #expect(sessions.count == 3)
    // The first is used once more, so that the second is the oldest.
    #expect(isKept(0))
    sessions.keep(try world.session(key: keys[3]).verifier)
    #expect(sessions.count == 3)
    #expect(isKept(0) && !isKept(1) && isKept(2) && isKept(3))
  }
}
