import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

@Suite("The state of a device")
struct DeviceStateTests {
  private let device: DeviceID
  private let answer: Digest
  init() throws {
    device = try #require(DeviceID(bytes: [UInt8](repeating: 3, count: 32)))
    answer = SHA256.digest(of: [1])
  }

  private func verdict(
    round: Int, rate: Double = 1, epoch: Int64 = 10, refusal: Refusal? = nil,
    kind: PuzzleKind = .hash
  ) -> DeviceState.Event {
    .judged(
      Verdict(
        device: device, epoch: epoch, round: round, kind: kind, refusal: refusal,
        work: refusal == nil ? rate : 0, seconds: 1, answer: answer), expectedRate: 1)
  }

  private func reasons(_ actions: [DeviceState.Action]) -> [String] {
    actions.compactMap {
      if case .record(let transition) = $0 { transition.reason.name } else { nil }
    }
  }

  private func rounds(_ actions: [DeviceState.Action]) -> [Int] {
    actions.compactMap { if case .challenge(_, let round, _) = $0 { round } else { nil } }
  }

  /// Three good rounds of `epoch`.
  private func verify(_ state: inout DeviceState, epoch: Int64) -> [DeviceState.Action] {
    var actions = state.handle(.windowBegan(epoch: epoch))
    for round in 0..<3 { actions += state.handle(verdict(round: round, epoch: epoch)) }
    return actions
  }

  @Test("a GPU's rounds have two halves: both must come, and the first bad one ends the round")
  func halves() {
    var state = DeviceState(device, kinds: [.product, .gpuMemory])
    var actions = state.handle(.windowBegan(epoch: 10))
    for round in 0..<3 {
      #expect(actions.contains(.challenge(epoch: 10, round: round, kind: .gpuMemory)))
      #expect(state.openKind == .gpuMemory && state.alsoOpen == .product)
      // In either order; the same half twice counts once.
      let first: PuzzleKind = round == 1 ? .product : .gpuMemory
      let second: PuzzleKind = round == 1 ? .gpuMemory : .product
      #expect(state.handle(verdict(round: round, kind: first)) == [])
      #expect(state.handle(verdict(round: round, kind: first)) == [])
      #expect(state.isOpen && state.alsoOpen == nil)
      actions = state.handle(verdict(round: round, kind: second))
    }
    #expect(reasons(actions) == ["rates"])
    #expect(state.status == .verified(untilEpoch: 11))
    #expect(state.capabilities == [.product: .verified, .gpuMemory: .verified])

    _ = state.handle(.windowBegan(epoch: 11))
    actions = state.handle(
      verdict(round: 0, epoch: 11, refusal: .wrongWork, kind: .product))
    #expect(reasons(actions).first?.hasPrefix("rerun:") == true)
    #expect(rounds(actions) == [1] && state.alsoOpen == .product)
    // The other half of the round before comes too late for anything.
    #expect(state.handle(verdict(round: 0, epoch: 11, kind: .gpuMemory)) == [])
    _ = state.handle(verdict(round: 1, epoch: 11, kind: .gpuMemory))
    actions = state.handle(.unanswered(round: 1))
    #expect(reasons(actions) == ["unanswered"])
    #expect(state.status == .failed && !state.isOpen)
    #expect(state.capabilities[.product] == .failed)
    #expect(state.capabilities[.gpuMemory] == .verified)
  }

  @Test("three good rounds verify a new device, until the end of the next epoch")
  func verified() {
    var state = DeviceState(device, kinds: [.hash])
    #expect(state.status == .pending)
    let actions = verify(&state, epoch: 10)
    #expect(rounds(actions) == [0, 1, 2])
    #expect(reasons(actions) == ["rates"])
    #expect(state.status == .verified(untilEpoch: 11))
    #expect(state.isVerified(inEpoch: 11) && !state.isVerified(inEpoch: 12))
    // The next window of a device that does not answer any more.
    _ = state.handle(.windowBegan(epoch: 11))
    #expect(state.status == .verified(untilEpoch: 11))
    let late = state.handle(.windowBegan(epoch: 12))
    #expect(reasons(late) == ["expired"])
    #expect(state.status == .pending)
  }

  /// Answers rounds at `rates`, one a kind, until no more is asked; the kinds that were asked for.
  private func run(
    _ state: inout DeviceState, rates: [PuzzleKind: Double], actions: inout [DeviceState.Action]
  ) -> [PuzzleKind] {
    var asked: [PuzzleKind] = []
    while case .challenge(let epoch, let round, let kind)? = actions.last {
      asked.append(kind)
      actions += state.handle(
        verdict(round: round, rate: rates[kind] ?? 1, epoch: epoch, kind: kind))
    }
    return asked
  }

  @Test("each capability is rated for itself: lanes and searches in turn, then memory")
  func capabilities() {
    var state = DeviceState(device, kinds: [.lane, .hash, .memory])
    var actions = state.handle(.windowBegan(epoch: 10))
    let asked = run(&state, rates: [.memory: 9], actions: &actions)
    #expect(
      asked == [.lane, .hash, .lane, .hash, .lane, .hash, .memory, .memory, .memory])
    // Far above what memory is measured against is no other model.
    #expect(reasons(actions) == ["rates"])
    #expect(
      state.capabilities == [.lane: .verified, .hash: .verified, .memory: .verified])
  }

  @Test(
    "one capability that is not there fails the device, whatever the others give",
    arguments: [PuzzleKind.lane, .hash, .memory], [1.0, 9.0])
  func oneCapability(kind: PuzzleKind, others: Double) {
    var state = DeviceState(device, kinds: [.lane, .hash, .memory])
    var rates: [PuzzleKind: Double] = [.lane: others, .hash: others, .memory: others]
    rates[kind] = 0.5
    var actions = state.handle(.windowBegan(epoch: 10))
    _ = run(&state, rates: rates, actions: &actions)
    #expect(reasons(actions) == ["rerun:slow", "slow"])
    #expect(state.status == .failed)
    #expect(state.capabilities[kind] == .failed)
  }

  @Test("memory is not filled for a device whose other rounds decide nothing")
  func undecidedLanes() {
    var state = DeviceState(device, kinds: [.lane, .hash, .memory])
    var actions = state.handle(.windowBegan(epoch: 10))
    let asked = run(&state, rates: [.lane: 0.89], actions: &actions)
    #expect(!asked.contains(.memory))
    #expect(reasons(actions) == ["undecided"] && !state.isOpen)
    #expect(state.capabilities == [.hash: .verified])
  }

  @Test("a verdict of another kind than the round's counts nothing")
  func otherKind() {
    var state = DeviceState(device, kinds: [.lane, .hash])
    _ = state.handle(.windowBegan(epoch: 10))
    let before = state
    #expect(state.handle(verdict(round: 0, kind: .hash)).isEmpty)
    #expect(state == before)
  }

  @Test("a refused proof gets one more run at once, and then the device failed")
  func rerun() {
    var state = DeviceState(device, kinds: [.hash])
    _ = state.handle(.windowBegan(epoch: 10))
    let first = state.handle(verdict(round: 0, refusal: .wrongWork))
    #expect(reasons(first) == ["rerun:refused:wrong_work"])
    #expect(rounds(first) == [1])
    #expect(state.status == .pending)
    let second = state.handle(verdict(round: 1, refusal: .wrongWork))
    #expect(reasons(second) == ["refused:wrong_work"])
    #expect(state.status == .failed)
    // Nothing more happens in this window.
    #expect(state.handle(verdict(round: 2)).isEmpty)
    // A good run of the next hour clears it.
    _ = verify(&state, epoch: 11)
    #expect(state.status == .verified(untilEpoch: 12))
  }

  @Test("a good run after a disturbed one verifies")
  func recovered() {
    var state = DeviceState(device, kinds: [.hash])
    _ = state.handle(.windowBegan(epoch: 10))
    _ = state.handle(.unanswered(round: 0))
    for round in 1..<4 { _ = state.handle(verdict(round: round)) }
    #expect(state.status == .verified(untilEpoch: 11))
  }

  @Test("a device at half of its claim fails after two runs of four rounds")
  func slow() {
    var state = DeviceState(device, kinds: [.hash])
    var actions = state.handle(.windowBegan(epoch: 10))
    for round in 0..<8 { actions += state.handle(verdict(round: round, rate: 0.5)) }
    #expect(reasons(actions) == ["rerun:slow", "slow"])
    #expect(state.status == .failed)
  }

  @Test("a fault of the verifier never marks a device failed", arguments: [0, 2])
  func verifierFault(after good: Int) {
    var state = DeviceState(device, kinds: [.hash])
    _ = verify(&state, epoch: 10)
    _ = state.handle(.windowBegan(epoch: 11))
    for round in 0..<good { _ = state.handle(verdict(round: round, epoch: 11)) }
    let actions = state.handle(.verifierFailed(round: good))
    #expect(reasons(actions) == ["verifier_failed"])
    #expect(state.status == .verified(untilEpoch: 11))
  }

  @Test("a device that is gone in the middle keeps its mark, and its bad rounds")
  func interrupted() throws {
    var state = DeviceState(device, kinds: [.hash])
    _ = verify(&state, epoch: 10)
    _ = state.handle(.windowBegan(epoch: 11))
    for round in 0..<2 { _ = state.handle(verdict(round: round, rate: 0.5, epoch: 11)) }
    #expect(state.handle(.interrupted(round: 0)).isEmpty)
    #expect(reasons(state.handle(.interrupted(round: 2))) == ["interrupted"])
    #expect(state.status == .verified(untilEpoch: 11) && !state.isOpen)
    #expect(rounds(state.handle(.runCalled(epoch: 11))) == [3])
    #expect(state.rating[.hash]?.evidence == 3)
    // Good ones are not carried over.
    for round in 3..<5 { _ = state.handle(verdict(round: round, epoch: 11)) }
    _ = state.handle(.interrupted(round: 5))
    _ = state.handle(.runCalled(epoch: 11))
    #expect(state.rating[.hash]?.evidence == 0)
  }

  @Test("a run beside another's second try is no second try of its own")
  func beside() {
    var state = DeviceState(device, kinds: [.hash])
    #expect(state.handle(.runBeside(epoch: 10)).isEmpty)
    _ = verify(&state, epoch: 10)
    #expect(rounds(state.handle(.runBeside(epoch: 10))) == [3])
    // One that is under way begins anew; bad rounds count on.
    _ = state.handle(verdict(round: 3, rate: 0.5))
    #expect(rounds(state.handle(.runBeside(epoch: 10))) == [5])
    #expect(state.rating[.hash]?.evidence == 3 && state.rating.rounds == 0)
    #expect(state.status == .verified(untilEpoch: 11))
    for round in 5..<12 { _ = state.handle(verdict(round: round, rate: 0.5)) }
    #expect(state.status == .failed && state.hasRerun)
    // It was judged; the run beside another can only fail again, without a try more.
    _ = state.handle(.runBeside(epoch: 10))
    let actions = (12..<16).flatMap { state.handle(verdict(round: $0, rate: 0.5)) }
    #expect(reasons(actions) == ["slow"])
  }

  @Test("an undecided window leaves the mark that there was, and carries its evidence")
  func undecided() throws {
    var state = DeviceState(device, kinds: [.hash])
    _ = state.handle(.windowBegan(epoch: 10))
    for round in 0..<RateTest.Rule().maximumRounds {
      _ = state.handle(verdict(round: round, rate: 0.89))
    }
    #expect(state.status == .pending)
    let evidence = try #require(state.rating[.hash]?.evidence)
    _ = state.handle(.windowBegan(epoch: 11))
    #expect(state.rating[.hash]?.evidence == max(-3, min(3, evidence)))
    #expect(evidence != 0)
  }

  @Test("a hired device gets lane checks only, keeps its mark for a day, and is run at the end")
  func hired() {
    var state = DeviceState(device, kinds: [.hash])
    _ = verify(&state, epoch: 10)
    #expect(state.handle(.hired(true)).isEmpty)
    for epoch in Int64(11)..<40 {
      let actions = state.handle(.windowBegan(epoch: epoch))
      #expect(rounds(actions).isEmpty)
      #expect(actions.contains(.checkLanes(epoch: epoch)))
      #expect(
        state.isVerified(inEpoch: epoch) == (epoch <= 11 + Int64(DeviceState.maximumHeldEpochs)))
      _ = state.handle(.laneCheck(passed: true))
    }
    #expect(state.status == .pending)
    #expect(rounds(state.handle(.hired(false))) == [0])
    for round in 0..<3 { _ = state.handle(verdict(round: round, epoch: 39)) }
    #expect(state.status == .verified(untilEpoch: 40))
    #expect(state.heldEpochs == 0)
  }

  @Test("one failed lane check of a hired device is a busy second, two are not")
  func laneChecks() {
    var state = DeviceState(device, kinds: [.hash])
    _ = verify(&state, epoch: 10)
    _ = state.handle(.hired(true))
    #expect(state.handle(.laneCheck(passed: false)).isEmpty)
    _ = state.handle(.laneCheck(passed: true))
    #expect(state.handle(.laneCheck(passed: false)).isEmpty)
    #expect(reasons(state.handle(.laneCheck(passed: false))) == ["lanes_failed"])
    #expect(state.status == .pending)
  }

  @Test("a device that is hired and given back all the time gets no more rounds than an epoch has")
  func hiredTooOften() {
    var state = DeviceState(device, kinds: [.hash])
    var issued = rounds(state.handle(.windowBegan(epoch: 10)))
    for _ in 0..<100 {
      issued += rounds(state.handle(.hired(true)) + state.handle(.hired(false)))
    }
    #expect(issued == Array(DeviceState.rounds))
    // What is answered now changes nothing.
    #expect(state.handle(verdict(round: 62)).isEmpty)
    #expect(rounds(state.handle(.windowBegan(epoch: 11))) == [0])
  }

  @Test("a job that takes the device in the middle of a round leaves no mark")
  func preempted() {
    var state = DeviceState(device, kinds: [.hash])
    _ = state.handle(.windowBegan(epoch: 10))
    _ = state.handle(.hired(true))
    #expect(state.handle(.unanswered(round: 0)).isEmpty)
    #expect(state.handle(.windowEnded).isEmpty)
    #expect(state.status == .pending)
  }

  @Test("verdicts of other devices, epochs and rounds change nothing, in any order of events")
  func anyOrder() throws {
    let other = try #require(DeviceID(bytes: [UInt8](repeating: 4, count: 32)))
    for seed in UInt64(0)..<300 {
      var generator = SeededGenerator(state: seed)
      var state = DeviceState(device, kinds: [.hash])
      var window: Int64 = 0
      for _ in 0..<60 {
        let before = state
        switch Int.random(in: 0..<8, using: &generator) {
        case 0:
          window += 1
          _ = state.handle(.windowBegan(epoch: window))
        case 1: _ = state.handle(.unanswered(round: .random(in: -1..<7, using: &generator)))
        case 2: _ = state.handle(.verifierFailed(round: .random(in: 0..<7, using: &generator)))
        case 3: _ = state.handle(.hired(Bool.random(using: &generator)))
        case 4: _ = state.handle(.laneCheck(passed: Bool.random(using: &generator)))
        case 5: _ = state.handle(.windowEnded)
        case 6:
          let stray = Verdict(
            device: other, epoch: window, round: 0, kind: .hash, refusal: .wrongWork, work: 0,
            seconds: 1, answer: answer)
          _ = state.handle(.judged(stray, expectedRate: 1))
          #expect(state == before, "seed \(seed)")
        default:
          let round = Int.random(in: 0..<7, using: &generator)
          _ = state.handle(verdict(round: round, rate: 0.9, epoch: window))
        }
        #expect(state.issued <= Challenge.allowedRounds.count, "seed \(seed)")
        if state.isVerified(inEpoch: window) { #expect(!state.isVerified(inEpoch: window + 2)) }
      }
    }
  }

  @Test("devices with anything in common are one group, also by way of others")
  func groups() throws {
    let ids = try (0..<6).map {
      try #require(DeviceID(bytes: [UInt8](repeating: UInt8($0), count: 32)))
    }
    let groups = ConflictGroups([
      ids[0]: .init(owner: "a", addressBlock: "192.0.2"), ids[1]: .init(owner: "b"),
      ids[2]: .init(owner: "c", addressBlock: "192.0.2", gpus: ["G1"]),
      ids[3]: .init(owner: "d", gpus: ["G1", "G2"]), ids[4]: .init(latencyTwins: [ids[1]]),
      ids[5]: .init(boardSerial: "a"),
    ]).groups
    #expect(groups == [[ids[0], ids[2], ids[3]], [ids[1], ids[4]], [ids[5]]])
  }

  @Test("a burst never splits a group, and every device is in one")
  func bursts() throws {
    var generator = SeededGenerator(state: 8)
    var devices: [DeviceID: ConflictGroups.Traits] = [:]
    for number in 0..<60 {
      let id = try #require(DeviceID(bytes: [UInt8](repeating: UInt8(number), count: 32)))
      devices[id] = .init(owner: "\(Int.random(in: 0..<20, using: &generator))")
    }
    let groups = ConflictGroups(devices)
    let bursts = groups.bursts(capacity: 10, using: &generator)
    #expect(bursts.flatMap { $0 }.count == 60)
    #expect(Set(bursts.flatMap { $0 }).count == 60)
    for group in groups.groups {
      #expect(bursts.filter { !Set($0).isDisjoint(with: group) }.count == 1)
    }
    for burst in bursts where burst.count > 10 {
      #expect(groups.groups.contains { Set($0) == Set(burst) })
    }
  }

  @Test("the log of an hour is signed, shows each entry, and no other")
  func log() throws {
    let key = try SigningKey()
    var (log, state) = (VerdictLog(epoch: 10), DeviceState(device, kinds: [.hash]))
    var actions = state.handle(.windowBegan(epoch: 10))
    for round in 0..<8 { actions += state.handle(verdict(round: round, rate: 0.5)) }
    for case .record(let transition) in actions { try log.add(transition) }
    let head = try log.head(signedBy: key)
    #expect(head.count == 2)
    #expect(try head.isSigned(by: key.verifyingKey))
    #expect(try !head.isSigned(by: SigningKey().verifyingKey))
    for (index, entry) in log.entries.enumerated() {
      #expect(head.contains(entry, at: index, path: log.path(to: index)))
      #expect(!head.contains(entry, at: 1 - index, path: log.path(to: index)))
    }
    let text = log.entries[1].text
    #expect(text.contains("|10|pending|failed|slow|cpu.hash:12.000000:-0.693147,"))
    var other = DeviceState(device, kinds: [.hash])
    for case .record(let stray) in verify(&other, epoch: 11) {
      #expect(!head.contains(stray, at: 0, path: log.path(to: 0)))
      #expect(throws: IorunError.self) { try log.add(stray) }
    }
    let again = try JSONDecoder().decode(VerdictLog.Head.self, from: JSONEncoder().encode(head))
    #expect(again == head)
  }
}
