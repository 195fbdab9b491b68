public import IorunContract
internal import IorunCore
internal import IorunPoW

/// Proofs for people. `now` is in seconds since 1970.
public enum ProofRendering {
  /// The network at a glance, above the table of its devices.
  public static func summary(_ status: ProofStatus) -> String {
    var counts: [DeviceMark.Status: Int] = [:]
    for device in status.devices { counts[device.mark.status, default: 0] += 1 }
    let marks = [DeviceMark.Status.verified, .pending, .failed]
      .map { "\(counts[$0] ?? 0) \($0.rawValue)" }.joined(separator: ", ")
    switch status.mode {
    case .off:
      return "the head asks for no proofs; start it with --verification record or enforce\n"
    case .record:
      return "epoch \(status.epoch): \(marks); jobs go anywhere (record)\n"
    case .enforce:
      return "epoch \(status.epoch): \(marks); jobs go to verified nodes only (enforce)\n"
    }
  }

  /// Devices as a table, in the order given.
  public static func table(_ devices: [DeviceStatus], now: Double) -> Table {
    Table(
      columns: [
        .init("NODE", mayShrink: true), .init("DEVICE"), .init("PROOF"), .init("WHY"),
        .init("CORES", isRightAligned: true), .init("HASHES"), .init("LANES"), .init("SINCE"),
      ],
      rows: devices.map { device in
        [
          device.nodeName, String(device.device.description.prefix(12)),
          device.mark.status.rawValue + (device.isHired ? " (hired)" : ""),
          device.mark.reason ?? "-", "\(device.profile.cores)",
          measured(device, .hash), measured(device, .lane),
          device.mark.since.map { Ages.ago($0, now: now) } ?? "-",
        ]
      })
  }

  /// What was measured last of a kind, and what that is of the claim.
  private static func measured(_ device: DeviceStatus, _ kind: PuzzleKind) -> String {
    guard let record = device.latest.first(where: { $0.verdict.kind == kind }),
      record.verdict.isAccepted
    else { return "-" }
    return "\(rate(record.verdict.rate)) (\(percent(record.ratio)))"
  }

  /// Transitions as a table, as they come.
  public static func table(_ transitions: [TransitionRecord]) -> Table {
    Table(
      columns: [
        .init("TIME"), .init("EPOCH"), .init("FROM"), .init("TO"), .init("WHY"),
        .init("EVIDENCE", isRightAligned: true), .init("RATIOS", mayShrink: true),
      ],
      rows: transitions.map { record in
        let entry = record.entry
        return [
          Ages.time(record.time), "\(entry.epoch)", word(entry.from), word(entry.to),
          entry.reason.name, hundredths(entry.test.evidence),
          entry.test.ratios.map(percent).joined(separator: " "),
        ]
      })
  }

  /// Verdicts as a table, as they come.
  public static func table(_ verdicts: [ProofRecord]) -> Table {
    Table(
      columns: [
        .init("TIME"), .init("EPOCH"), .init("ROUND", isRightAligned: true), .init("KIND"),
        .init("RATE", isRightAligned: true), .init("OF CLAIM", isRightAligned: true),
        .init("VERDICT"),
      ],
      rows: verdicts.map { record in
        let verdict = record.verdict
        return [
          Ages.time(record.time), "\(verdict.epoch)", "\(verdict.round)", verdict.kind.rawValue,
          verdict.isAccepted ? "\(rate(verdict.rate)) \(verdict.kind.unit)" : "-",
          verdict.isAccepted ? percent(record.ratio) : "-",
          verdict.refusal?.rawValue ?? "accepted",
        ]
      })
  }

  /// Why a device is where it is, in sentences.
  public static func explanation(_ history: DeviceHistory, now: Double) -> String {
    let device = history.device
    var lines = ["\(device.nodeName) (device \(device.device)): \(device.mark.status.rawValue)"]
    if let until = device.mark.untilEpoch {
      let end = Double((until + 1) * EpochSchedule.epochSeconds)
      lines.append("It is good until \(Ages.time(end)), the end of epoch \(until).")
    }
    let claims = device.profile.rates.sorted { $0.key.rawValue < $1.key.rawValue }
      .map { "\(rate($0.value)) \($0.key.unit) of \($0.key.rawValue)" }.joined(separator: ", ")
    lines.append(
      "It claims \(device.profile.cores) core\(device.profile.cores == 1 ? "" : "s"): \(claims).")
    if device.isHired {
      lines.append("Jobs have it: it is asked for a second of one core's lanes only.")
    }
    if let last = history.transitions.first {
      lines.append(
        "\(sentence(last.entry.reason)) (\(last.entry.reason.name), \(Ages.ago(last.time, now: now)))."
      )
      if !last.entry.test.ratios.isEmpty {
        let rule = last.entry.test.rule
        lines.append(
          "Its rounds gave \(last.entry.test.ratios.map(percent).joined(separator: ", ")) of the "
            + "claim; evidence \(hundredths(last.entry.test.evidence)), verified at "
            + "\(hundredths(rule.passThreshold)), failed at +\(hundredths(rule.failThreshold)).")
      }
    } else {
      lines.append("Nothing was decided yet: its first run comes within minutes of its arrival.")
    }
    if let refused = history.verdicts.first(where: { !$0.verdict.isAccepted }),
      let refusal = refused.verdict.refusal
    {
      lines.append(
        "Its newest refused proof (\(refused.verdict.kind.rawValue), "
          + "\(Ages.ago(refused.time, now: now))): \(refusal.explanation).")
    }
    return lines.map { TerminalText.oneLine($0) + "\n" }.joined()
  }

  private static func sentence(_ reason: Transition.Reason) -> String {
    switch reason {
    case .rates: "The rates of its rounds are those that it claims"
    case .mismatch: "The rates of its rounds are far above its claim: it is another model"
    case .slow: "The rates of its rounds are below its claim"
    case .undecided: "Its rounds are over and decided nothing"
    case .refused(let refusal): "A proof was refused: \(refusal.explanation)"
    case .unanswered: "No answer came in time"
    case .verifierFailed: "The head could not judge, by its own fault"
    case .expired: "Its mark was good until an epoch that is over"
    case .lanesFailed: "While hired it failed two lane checks in a row"
    case .claimChanged: "It claims something else than what was proved"
    case .rerun(let reason): "It failed once (\(reason)), and was run again"
    }
  }

  private static func word(_ status: DeviceState.Status) -> String {
    switch status {
    case .pending: "pending"
    case .verified: "verified"
    case .failed: "failed"
    }
  }

  private static func rate(_ value: Double) -> String {
    guard value.isFinite, value >= 0 else { return "?" }
    for (size, letter) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] where value >= size {
      return tenths(min(value / size, 1e6)) + letter
    }
    return tenths(value)
  }

  private static func percent(_ ratio: Double) -> String {
    guard ratio.isFinite, abs(ratio) < 1e6 else { return "?" }
    return "\(Int((ratio * 100).rounded()))%"
  }

  private static func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  private static func hundredths(_ value: Double) -> String {
    guard value.isFinite, abs(value) < 1e9 else { return "?" }
    return "\((value * 100).rounded() / 100)"
  }
}
