internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// What nodes hand in. Cheap checks come first: a flood of rubbish costs the head comparisons.
extension ProofDirector: ProofService {
  func challenge(caller: PeerID) async throws -> Challenge? {
    try authoriser.check(caller, may: .offerNode)
    return deviceOf[caller].flatMap { devices[$0]?.open?.challenge }
  }

  func openSession(_ hello: ProofSession.Hello, caller: PeerID) async throws -> Digest {
    try authoriser.check(caller, may: .offerNode)
    let device = try own(hello.device, of: caller)
    // As dear as an answer, so it counts as one.
    try count(device.id)
    guard hello.epoch == epoch || hello.epoch == epoch - 1 else {
      throw Self.refused(.wrongEpoch)
    }
    return try await desks.open(
      hello, by: head, beacon: secrets.combinedBeacon(of: hello.epoch))
  }

  func commit(_ commitment: Commitment, caller: PeerID) async throws -> OpeningRequest {
    try await commit(commitment, sealed: .session, caller: caller)
  }

  func submit(_ proof: Proof, caller: PeerID) async throws -> Verdict {
    try await submit(proof, sealed: .session, caller: caller)
  }

  /// The same where only some seals count.
  func commit(
    _ commitment: Commitment, sealed rule: ProofDesks.SealRule, caller: PeerID
  ) async throws -> OpeningRequest {
    let arrival = milliseconds
    let challenge = commitment.challenge
    try authoriser.check(caller, may: .offerNode)
    let device = try own(challenge.device, of: caller)
    try count(device.id)
    guard device.round(of: challenge) != nil else {
      throw Self.refused(try known(challenge) ? .late : .challengeNotIssued)
    }
    do {
      return try await desks.commit(
        commitment, sealed: rule, epoch: epoch, nowMilliseconds: arrival)
    } catch let refusal as Refusal {
      throw Self.refused(refusal)
    }
  }

  /// The same where only some seals count.
  func submit(
    _ proof: Proof, sealed rule: ProofDesks.SealRule, caller: PeerID
  ) async throws -> Verdict {
    let arrival = milliseconds
    let challenge = proof.challenge
    try authoriser.check(caller, may: .offerNode)
    let device = try own(challenge.device, of: caller)
    var verdict = Verdict(
      device: device.id, epoch: challenge.epoch, round: challenge.round,
      kind: challenge.puzzle.kind, refusal: nil, work: 0,
      seconds: Double(max(1, arrival &- challenge.opensAtMilliseconds)) / 1000,
      answer: proof.answerDigest)
    if let before = verdicts[ProofPlace(challenge)]?.verdict {
      if before.answer == verdict.answer { return before }
      verdict.refusal = .replayed
      return verdict
    }
    try count(device.id)
    let kind = challenge.puzzle.kind
    guard let open = device.round(of: challenge) else {
      verdict.refusal = try known(challenge) ? .late : .challengeNotIssued
      return verdict
    }
    devices[device.id]?.opens[kind]?.answering += 1
    do {
      verdict = try await desks.submit(
        proof, sealed: rule, epoch: epoch, nowMilliseconds: arrival)
    } catch {
      // The head's fault: never the device's.
      guard devices[device.id]?.round(of: challenge) != nil else { throw error }
      devices[device.id]?.open = nil
      if !open.isLaneCheck { apply(.verifierFailed(round: challenge.round), to: device.id) }
      devices[device.id]?.needsRun = true
      await flushLater()
      throw error
    }
    // A round that was closed, or given up for a job, meanwhile is over.
    guard devices[device.id]?.round(of: challenge) != nil else { return verdict }
    devices[device.id]?.opens[kind]?.answering -= 1
    // The device's own answer may still come.
    guard verdict.refusal?.isByDevice ?? true else { return verdict }
    devices[device.id]?.opens[kind] = nil
    var record = ProofRecord(
      verdict: verdict, expectedRate: open.expected.rate, expectedBy: open.expected.source,
      time: clock.now())
    switch challenge.puzzle {
    case .memory(let puzzle), .gpuMemory(let puzzle):
      record.memory = Bytes(UInt64(32 * puzzle.labels))
    case .hash, .lane, .product: break
    }
    note(record)
    if open.isLaneCheck {
      checkedLanes(of: device.id, passed: verdict.isAccepted)
    } else {
      apply(.judged(verdict, expectedRate: open.expected.rate), to: device.id)
    }
    // The next round goes out while this one is written.
    perform()
    try await flush()
    return verdict
  }

  func gaveWay(_ challenge: [UInt8], caller: PeerID) async throws {
    try authoriser.check(caller, may: .offerNode)
    for id in [deviceOf[caller]].compactMap(\.self) + (gpusOf[caller] ?? []) {
      isBusy(challenge, of: id)
    }
    await flushLater()
  }

  private var milliseconds: Int64 { Int64(clock.now() * 1000) }

  /// The device that was challenged, or begins a session, if it is the caller's.
  private func own(_ id: DeviceID, of caller: PeerID) throws -> Device {
    guard let device = devices[id], device.node == caller else {
      throw Self.refused(.wrongDevice)
    }
    return device
  }

  /// Throws `overloaded` where a device has handed in too much lately.
  private func count(_ id: DeviceID) throws {
    guard devices[id]?.limit.take(at: clock.elapsed()) == true else {
      throw IorunError(
        .overloaded, "device \(id) hands in more than \(settings.answersAMinute) answers a minute",
        remedy: "Hand in one answer for each challenge")
    }
  }

  private func known(_ challenge: Challenge) throws -> Bool {
    try secrets.issuer.issued(challenge)
  }

  private static func refused(_ refusal: Refusal) -> IorunError {
    IorunError(
      .proofRefused, "refused (\(refusal.rawValue)): \(refusal.explanation)",
      remedy: "Hand in one answer to each challenge, in time, sealed by its device")
  }
}
