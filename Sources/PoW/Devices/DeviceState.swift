internal import IorunCore

/// Where a device stands, and what led there: a value. Events go in, actions come out, time and
/// randomness stay with the caller.
public struct DeviceState: Hashable, Codable, Sendable {
  /// The three states.
  public enum Status: Hashable, Codable, Sendable {
    /// New, undecided, hired for long, or not judged for a fault of the verifier.
    case pending
    /// Verified; good until the end of that epoch.
    case verified(untilEpoch: Int64)
    /// It failed.
    case failed
  }

  /// What happens to a device.
  public enum Event: Hashable, Sendable {
    /// The window of an epoch begins.
    case windowBegan(epoch: Int64)
    /// A run out of turn: a device of its group is new, or a run was broken off by the verifier.
    case runCalled(epoch: Int64)
    /// A proof was judged, against the rate that the claim must give.
    case judged(Verdict, expectedRate: Double)
    /// The deadline of a round passed without an answer.
    case unanswered(round: Int)
    /// The device says that it has not the memory that it states.
    case lacksMemory(round: Int)
    /// The verifier could not judge, by its own fault.
    case verifierFailed(round: Int)
    /// The device was gone in the middle of a round: its process was killed, or it was cut off.
    case interrupted(round: Int)
    /// It is run again beside a device that it could be one with, which gets its second try. No try of
    /// its own.
    case runBeside(epoch: Int64)
    /// A job took the device, or gave it back.
    case hired(Bool)
    /// A hired device answered its heartbeat's lane check, or did not.
    case laneCheck(passed: Bool)
    /// The window ends.
    case windowEnded
  }

  /// What is to be done.
  public enum Action: Hashable, Sendable {
    /// Issue a round's challenge, of that kind of work.
    case challenge(epoch: Int64, round: Int, kind: PuzzleKind)
    /// Check a hired device with a second of lanes only.
    case checkLanes(epoch: Int64)
    /// Write a transition to the log.
    case record(Transition)
  }

  /// The device.
  public let device: DeviceID
  /// Where it stands.
  public private(set) var status = Status.pending
  /// True while a job has it.
  public private(set) var isHired = false
  /// The epoch whose window is or was open.
  public private(set) var epoch: Int64?
  /// The rounds of that window.
  public private(set) var rating: DeviceRating
  /// What the last run that decided on it said of each kind of work.
  public private(set) var capabilities: [PuzzleKind: RateTest.Decision] = [:]
  /// True once the device had its second try in this window.
  public private(set) var hasRerun = false
  /// Rounds that were issued in this window.
  public private(set) var issued = 0
  /// Epochs for which lane checks kept a hired device's mark since its last full run.
  public private(set) var heldEpochs = 0
  /// The most of these.
  public static let maximumHeldEpochs = 24
  /// The rounds of an epoch's runs; the last that a challenge can have is the lane checks' of hired
  /// devices.
  public static let rounds = 0..<Challenge.allowedRounds.upperBound
  /// The kind of the round that is out; `nil` while none is.
  public private(set) var openKind: PuzzleKind? {
    didSet { if openKind == nil { alsoOpen = nil } }
  }
  /// What is out at the same instant, as the other half of the round (``PuzzleKind/besides``).
  public private(set) var alsoOpen: PuzzleKind?
  private var carried: [PuzzleKind: Double] = [:]
  private var lanesFailed = 0
  /// What a run asks for, in that order.
  public let kinds: [PuzzleKind]

  /// A device that nobody knows yet, and what its runs ask for.
  public init(_ device: DeviceID, kinds: [PuzzleKind] = [.lane, .hash]) {
    self.device = device
    self.kinds = kinds
    rating = DeviceRating(kinds)
  }

  /// True while a round is out.
  public var isOpen: Bool { openKind != nil }

  /// True where jobs may be placed on the device in `epoch`.
  public func isVerified(inEpoch epoch: Int64) -> Bool {
    if case .verified(let last) = status { epoch <= last } else { false }
  }

  /// Takes an event in.
  public mutating func handle(_ event: Event) -> [Action] {
    switch event {
    case .windowBegan(let epoch): return begin(epoch)
    case .runCalled(let next):
      guard next == epoch else { return begin(next) }
      guard !isHired, !isOpen else { return [] }
      hasRerun = false
      rating = DeviceRating(kinds, carried: carried)
      return nextRound(next)
    case .judged(let verdict, let expected): return judge(verdict, expected)
    case .unanswered(let round):
      guard isOpen, round == issued - 1 else { return [] }
      return fail(.unanswered)
    case .lacksMemory(let round):
      guard isOpen, round == issued - 1 else { return [] }
      return fail(.noMemory, of: openKind)
    case .verifierFailed(let round):
      guard isOpen, round == issued - 1 else { return [] }
      openKind = nil
      return move(to: keptStatus(), .verifierFailed)
    case .interrupted(let round):
      guard isOpen, round == issued - 1 else { return [] }
      openKind = nil
      // Nobody gets rid of bad rounds by going away.
      carried = rating.carried.mapValues { max(0, $0) }
      return move(to: keptStatus(), .interrupted)
    case .runBeside(let next):
      guard next == epoch, !isHired else { return [] }
      // What is under way begins anew: its rounds so far had the machine to themselves. The bad ones
      // count on.
      rating = DeviceRating(
        kinds, carried: isOpen ? rating.carried.mapValues { max(0, $0) } : [:])
      return nextRound(next)
    case .hired(let isHired): return hire(isHired)
    case .laneCheck(let passed): return checkLanes(passed)
    case .windowEnded: return end()
    }
  }

  private mutating func begin(_ next: Int64) -> [Action] {
    guard next > epoch ?? -1 else { return [] }
    epoch = next
    (hasRerun, issued) = (false, 0)
    rating = DeviceRating(kinds, carried: carried)
    var actions: [Action] = []
    // A hired device's mark is prolonged by its lane checks: one that lacks them expires, too.
    if case .verified(let last) = status, last < next {
      actions += move(to: .pending, .expired)
    }
    if isHired {
      openKind = nil
      return actions + [.checkLanes(epoch: next)]
    }
    return actions + nextRound(next)
  }

  /// Nothing where the epoch has no rounds left: whoever is hired and given back all the time waits
  /// for the next window.
  private mutating func nextRound(_ epoch: Int64) -> [Action] {
    openKind = Self.rounds.contains(issued) ? rating.next : nil
    guard let kind = openKind else { return [] }
    alsoOpen = kind.besides.flatMap { rating[$0] == nil ? nil : $0 }
    issued += 1
    return [.challenge(epoch: epoch, round: issued - 1, kind: kind)]
  }

  private mutating func judge(_ verdict: Verdict, _ expected: Double) -> [Action] {
    let kind = verdict.kind
    guard let epoch, verdict.device == device, verdict.epoch == epoch,
      verdict.round == issued - 1, kind == openKind || kind == alsoOpen
    else { return [] }
    if let refusal = verdict.refusal { return fail(.refused(refusal), of: kind) }
    rating.add(kind, measured: verdict.rate, expected: expected)
    // The other half of the round is still out.
    if let alsoOpen, rating.decision != .failed {
      openKind = kind == openKind ? alsoOpen : openKind
      self.alsoOpen = nil
      return []
    }
    switch rating.decision {
    case .undecided where rating.next != nil: return nextRound(epoch)
    case .undecided:
      openKind = nil
      carried = rating.carried
      return move(to: keptStatus(), .undecided)
    case .verified:
      openKind = nil
      carried = [:]
      return move(to: .verified(untilEpoch: epoch + 1), rating.isMismatch ? .mismatch : .rates)
    case .failed: return fail(.slow, of: kind)
    }
  }

  /// A failure gets one more run at once, from the beginning: a fault of memory or a disturbance is
  /// no fraud. What a device carried over from earlier epochs stays.
  private mutating func fail(_ reason: Transition.Reason, of kind: PuzzleKind? = nil) -> [Action] {
    guard let epoch else { return [] }
    let before = rating
    if !hasRerun {
      hasRerun = true
      rating = DeviceRating(kinds)
      let transition = Transition(
        device: device, epoch: epoch, from: status, to: status,
        reason: .rerun(after: reason.name), rating: before)
      return [.record(transition)] + nextRound(epoch)
    }
    // What it was asked for when it gave no answer, or a wrong one.
    for kind in kind.map({ [$0] }) ?? [openKind, alsoOpen].compactMap(\.self) {
      capabilities[kind] = .failed
    }
    openKind = nil
    carried = [:]
    return move(to: .failed, reason)
  }

  private mutating func hire(_ now: Bool) -> [Action] {
    guard now != isHired else { return [] }
    isHired = now
    if now {
      // A job comes first: a round that is under way is given up without a mark.
      openKind = nil
      lanesFailed = 0
      return []
    }
    guard let epoch else { return [] }
    // The end of a lease: a full run, before it is paid for.
    hasRerun = false
    rating = DeviceRating(kinds)
    return nextRound(epoch)
  }

  private mutating func checkLanes(_ passed: Bool) -> [Action] {
    guard isHired, let epoch else { return [] }
    if passed {
      lanesFailed = 0
      // A day without a full run is the most.
      if case .verified(let last) = status, last == epoch, heldEpochs < Self.maximumHeldEpochs {
        heldEpochs += 1
        status = .verified(untilEpoch: epoch + 1)
      }
      return []
    }
    // A job may have taken every core for a second; twice in a row it is gone.
    lanesFailed += 1
    guard lanesFailed >= 2 else { return [] }
    return move(to: .pending, .lanesFailed)
  }

  private mutating func end() -> [Action] {
    guard isOpen else { return [] }
    openKind = nil
    carried = rating.carried
    return move(to: keptStatus(), .undecided)
  }

  /// What an undecided window leaves: a mark that still holds, or none. What has failed stays failed
  /// until a run decides otherwise.
  private func keptStatus() -> Status {
    guard let epoch else { return .pending }
    switch status {
    case .failed: return .failed
    case .verified(let last) where last >= epoch: return status
    default: return .pending
    }
  }

  private mutating func move(to next: Status, _ reason: Transition.Reason) -> [Action] {
    guard let epoch else { return [] }
    if case .verified = next, reason == .rates || reason == .mismatch { heldEpochs = 0 }
    let transition = Transition(
      device: device, epoch: epoch, from: status, to: next, reason: reason, rating: rating)
    status = next
    capabilities.merge(rating.decided) { $1 }
    return [.record(transition)]
  }
}
