import IorunCore
import IorunCrypto
import IorunPoW
import Logging
import Synchronization
import Testing

@testable import IorunWorker

/// What a device hands in, sealed by a session or signed, whatever becomes of the session.
@Suite("Answers and their seals")
struct SealedAnswersTests {
  /// A head that keeps sessions, until it is told to forget them.
  private final class Head: VerifierLink {
    struct State: Sendable {
      var desk: ProofDesk
      var sessions = ProofSessions()
      /// How many sessions were asked for; whether any is given.
      var hellos = 0
      var hasSessions = true
      /// What was handed in: true for codes.
      var codes: [Bool] = []
    }
    let issuer: ChallengeIssuer
    let state: Mutex<State>
    static let id = PeerID(high: 1, low: 1)
    static let beacon = SHA256.digest(of: [1])

    init() throws {
      issuer = try ChallengeIssuer(secret: Array(repeating: 3, count: 32))
      state = Mutex(State(desk: ProofDesk(Verifier(issuer))))
    }

    func openSession(_ hello: ProofSession.Hello) async throws -> Digest {
      let isThere = state.withLock { state in
        state.hellos += 1
        return state.hasSessions
      }
      guard isThere else { throw IorunError(.notFound, "no such method") }
      let (session, publicKey) = try ProofSession.accept(hello, by: Self.id, beacon: Self.beacon)
      state.withLock { $0.sessions.keep(session) }
      return publicKey
    }

    private func submitter(
      _ challenge: Challenge, _ seal: Seal, _ state: inout State
    ) -> Verifier.Submitter {
      guard case .code = seal else {
        state.codes.append(false)
        return .anybody
      }
      state.codes.append(true)
      return state.sessions.session(of: challenge.device, epoch: challenge.epoch).map {
        .session($0)
      } ?? .sessionless
    }

    func commit(_ commitment: Commitment) async throws -> OpeningRequest {
      try state.withLock { state in
        let submitter = submitter(commitment.challenge, commitment.seal, &state)
        do {
          return try state.desk.commit(
            commitment, from: submitter, epoch: commitment.challenge.epoch, nowMilliseconds: 100)
        } catch let refusal as Refusal {
          throw IorunError(.proofRefused, "refused (\(refusal.rawValue))")
        }
      }
    }

    func submit(_ proof: Proof) async throws -> Verdict {
      try state.withLock { state in
        let submitter = submitter(proof.challenge, proof.seal, &state)
        return try state.desk.submit(
          proof, from: submitter, epoch: proof.challenge.epoch, nowMilliseconds: 100)
      }
    }

    func gaveWay(_ challenge: [UInt8]) async throws {}
  }

  private let head: Head
  private let key: SigningKey
  private let answers: SealedAnswers

  init() throws {
    (head, key) = (try Head(), try SigningKey())
    answers = SealedAnswers(
      key: key, head: Head.id, verifier: PatientVerifier(link: head),
      logger: Logger(label: "iorun.test"))
  }

  private func challenge(round: Int, epoch: Int64 = 480_000) throws -> Challenge {
    try head.issuer.challenge(
      .lane(LanePuzzle(cores: 1, depth: 2, nodeSteps: 4, openings: 2)), for: DeviceID(key),
      epoch: epoch, beacon: Head.beacon, round: round, opensAtMilliseconds: 0,
      deadlineMilliseconds: 1000)
  }

  /// Solves and hands in; how each part was sealed.
  private func answer(_ challenge: Challenge) async throws -> [Bool] {
    head.state.withLock { $0.codes = [] }
    guard case .committed(let work) = try await Solver(challenge, threads: 1).solve() else {
      return []
    }
    let request = try await answers.commit(challenge, roots: work.roots)
    let verdict = try await answers.submit(challenge, work.answer(to: request))
    #expect(verdict.isAccepted, "\(String(describing: verdict.refusal))")
    return head.state.withLock { $0.codes }
  }

  private func prepare(_ challenge: Challenge) async throws {
    let before = head.state.withLock { $0.sessions.count }
    await answers.prepare(for: challenge)
    try await eventually("no session was begun") {
      head.state.withLock { $0.sessions.count } == max(1, before)
    }
    try await eventually("the device does not have its session") { await answers.hasSession }
  }

  @Test("an hour's answers are sealed by one session, for which the device signed once")
  func hour() async throws {
    try await prepare(challenge(round: 0))
    for round in 0..<3 {
      let challenge = try challenge(round: round)
      await answers.prepare(for: challenge)
      #expect(try await answer(challenge) == [true, true])
    }
    #expect(head.state.withLock { $0.hellos } == 1)
    // The next hour's is another.
    let next = try challenge(round: 0, epoch: 480_001)
    #expect(try await answer(next) == [false, false])
    await answers.prepare(for: next)
    try await eventually("no session for the next hour") {
      head.state.withLock { $0.hellos } == 2
    }
    try await eventually("the device does not have it") { await answers.hasSession }
    #expect(try await answer(challenge(round: 1, epoch: 480_001)) == [true, true])
  }

  @Test(
    "a session that the head has forgotten costs no proof: it is signed, and the next begins anew")
  func forgotten() async throws {
    try await prepare(challenge(round: 0))
    #expect(try await answer(challenge(round: 0)) == [true, true])
    head.state.withLock { $0.sessions = ProofSessions() }
    // The commitment is refused once, and all that follows is signed.
    #expect(try await answer(challenge(round: 1)) == [true, false, false])
    try await prepare(challenge(round: 2))
    #expect(try await answer(challenge(round: 2)) == [true, true])
    // Between commitment and answer.
    let late = try challenge(round: 3)
    guard case .committed(let work) = try await Solver(late, threads: 1).solve() else { return }
    let request = try await answers.commit(late, roots: work.roots)
    head.state.withLock { $0.sessions = ProofSessions() }
    #expect(try await answers.submit(late, work.answer(to: request)).isAccepted)
  }

  @Test("another session's key at the head is as good as none: the answer is signed")
  func exchanged() async throws {
    try await prepare(challenge(round: 0))
    let offer = try ProofSession.Offer(
      to: Head.id, epoch: 480_000, beacon: Head.beacon, key: key)
    _ = try await head.openSession(offer.hello)
    #expect(try await answer(challenge(round: 0)) == [true, false, false])
  }

  @Test("a head without sessions is asked once an hour, and gets signatures")
  func older() async throws {
    head.state.withLock { $0.hasSessions = false }
    for round in 0..<3 {
      let challenge = try challenge(round: round)
      await answers.prepare(for: challenge)
      try await eventually("it was not asked") { head.state.withLock { $0.hellos } == 1 }
      #expect(try await answer(challenge) == [false, false])
    }
    #expect(head.state.withLock { $0.hellos } == 1)
  }

  @Test("nothing is begun once the node ends")
  func ended() async throws {
    await answers.end()
    await answers.prepare(for: try challenge(round: 0))
    #expect(try await answer(challenge(round: 0)) == [false, false])
    #expect(head.state.withLock { $0.hellos } == 0)
  }
}
