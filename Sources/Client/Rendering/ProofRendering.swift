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
    let hasGPUs = devices.contains { $0.profile.gpu != nil }
    var table = Table(
      columns: [
        .init("NODE", mayShrink: true), .init("DEVICE"), .init("PROOF"), .init("WHY"),
        .init("CORES", isRightAligned: true), .init("HASHES"), .init("LANES"), .init("MEMORY"),
        .init("SINCE"),
      ],
      rows: devices.map { device in
        [
          device.nodeName, String(device.device.description.prefix(12)),
          device.mark.status.rawValue + (device.isHired ? " (hired)" : ""),
          device.mark.reason ?? "-", device.profile.gpu == nil ? "\(device.profile.cores)" : "-",
          measured(device, .hash), measured(device, .lane), memory(device),
          device.mark.since.map { Ages.ago($0, now: now) } ?? "-",
        ]
      })
    guard hasGPUs else { return table }
    table.columns.insert(.init("PRODUCTS"), at: 7)
    for (row, device) in devices.enumerated() {
      table.rows[row].insert(measured(device, .product), at: 7)
    }
    return table
  }

  /// What was measured last of a kind, and what that is of the claim.
  private static func measured(_ device: DeviceStatus, _ kind: PuzzleKind) -> String {
    guard let record = device.latest.first(where: { $0.verdict.kind == kind }),
      record.verdict.isAccepted
    else { return "-" }
    return "\(rate(record.verdict.rate)) (\(percent(record.ratio)))"
  }

  /// How much memory was walked over last, and what that is of what the device offers.
  private static func memory(_ device: DeviceStatus) -> String {
    guard let record = device.latest.first(where: { $0.verdict.kind.needsTable }),
      record.verdict.isAccepted, let memory = record.memory
    else { return "-" }
    let offered = device.profile.memory.rawValue
    guard offered > 0 else { return "\(memory)" }
    return "\(memory) (\(percent(Double(memory.rawValue) / Double(offered))))"
  }

  /// Transitions as a table, as they come.
  public static func table(_ transitions: [TransitionRecord]) -> Table {
    Table(
      columns: [
        .init("TIME"), .init("EPOCH"), .init("FROM"), .init("TO"), .init("WHY"),
        .init("EVIDENCE"), .init("RATIOS", mayShrink: true),
      ],
      rows: transitions.map { record in
        let entry = record.entry
        return [
          Ages.time(record.time), "\(entry.epoch)", word(entry.from), word(entry.to),
          entry.reason.name,
          rounds(of: entry).map { "\(word($0.kind)) \(hundredths($0.test.evidence))" }
            .joined(separator: ", "),
          rounds(of: entry).map {
            "\(word($0.kind)) \($0.test.ratios.map(percent).joined(separator: " "))"
          }.joined(separator: ", "),
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
          verdict.isAccepted
            ? "\(rate(verdict.rate)) \(verdict.kind.unit)"
              + (record.memory.map { " over \($0)" } ?? "") : "-",
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
    let claimant =
      device.profile.gpu.map { "to be a \($0.model) (\($0.uuid)) with \(device.profile.memory)" }
      ?? "\(device.profile.cores) core\(device.profile.cores == 1 ? "" : "s")"
    lines.append("It claims \(claimant): \(claims).")
    let marks = device.capabilities.sorted { $0.key.rawValue < $1.key.rawValue }
    if !marks.isEmpty {
      lines.append(
        "Each kind of work that it is asked for: "
          + marks.map { "\($0.key.rawValue) \($0.value.rawValue)" }.joined(separator: ", ") + ".")
    }
    if let memory = history.verdicts.first(where: { $0.memory != nil && $0.verdict.isAccepted }),
      let size = memory.memory
    {
      lines.append(
        "It walked over \(size) of the \(device.profile.memory) of memory that it offers "
          + "(\(Ages.ago(memory.time, now: now))).")
    }
    for record in device.latest {
      guard let source = record.expectedBy else { continue }
      lines.append(
        "Of \(record.verdict.kind.rawValue) it is measured against "
          + "\(rate(record.expectedRate)) \(record.verdict.kind.unit), by the catalogue's \(source)."
      )
    }
    if let connection = device.connection { lines += sentences(connection, now: now) }
    if device.isHired {
      lines.append(
        device.profile.gpu == nil
          ? "Jobs have it: it is asked for a second of one core's lanes only."
          : "Jobs have its node: only the node's lanes are asked for, and count for it.")
    }
    if let last = history.transitions.first {
      lines.append(
        "\(sentence(last.entry.reason)) (\(last.entry.reason.name), \(Ages.ago(last.time, now: now)))."
      )
      lines += rounds(of: last.entry).map { sentence($0, device) }
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

  /// What the rounds of a kind gave.
  private static func sentence(
    _ capability: DeviceRating.Capability, _ device: DeviceStatus
  ) -> String {
    let (kind, test) = (capability.kind, capability.test)
    let of = kind.needsTable ? "the rate that nobody reaches without the memory" : "the claim"
    return
      "\(kind.rawValue): \(test.decision.rawValue). Its rounds gave "
      + "\(test.ratios.map(percent).joined(separator: ", ")) of \(of); evidence "
      + "\(hundredths(test.evidence)), verified at \(hundredths(test.rule.passThreshold)), failed at "
      + "+\(hundredths(test.rule.failThreshold))."
  }

  /// The way to a device, and its disk.
  private static func sentences(_ record: ConnectionRecord, now: Double) -> [String] {
    var lines: [String] = []
    if let echoes = record.echoes {
      lines.append(
        "The way there and back takes \(hundredths(echoes.minimumMilliseconds)) ms at best, "
          + "\(hundredths(echoes.medianMilliseconds)) ms usually (\(echoes.answered) echoes, "
          + "\(Ages.ago(record.time, now: now))).")
    }
    if let line = record.line {
      let ways = [(line.download, "reach it"), (line.upload, "leave it")].compactMap { found, way in
        found.map { "\(rate($0.megabitsPerSecond * 1e6))b/s \(way)" }
      }
      let others =
        switch line.beside {
        case 0: ""
        case 1: ", beside one device that could share its line"
        default: ", beside \(line.beside) devices that could share its line"
        }
      lines.append(
        "Bytes of the head's: \(ways.joined(separator: ", "))\(others) "
          + "(\(Ages.ago(line.time, now: now))).")
    }
    if let disk = record.disk {
      lines.append(
        "Its disk has \(Bytes(disk.freeBytes)) of \(Bytes(disk.capacityBytes)) free, and by its own "
          + "word writes \(rate(disk.writeBytesPerSecond))B/s, reads "
          + "\(rate(disk.readBytesPerSecond))B/s, \(rate(disk.randomReadsPerSecond)) blocks/s at random"
          + (disk.isDirect ? "." : " (through the cache)."))
    }
    if !record.shortfalls.isEmpty {
      lines.append(
        "It falls short in "
          + record.shortfalls.map(\.rawValue).sorted().joined(separator: ", ")
          + "; that is part of no mark.")
    }
    return lines
  }

  /// The kinds of which a transition has rounds.
  private static func rounds(of entry: Transition) -> [DeviceRating.Capability] {
    entry.rating.capabilities.filter { !$0.test.logarithms.isEmpty }
  }

  private static func word(_ kind: PuzzleKind) -> String {
    switch kind {
    case .hash: "hashes"
    case .lane: "lanes"
    case .memory: "memory"
    case .product, .gpuMemory: kind.rawValue
    }
  }

  private static func sentence(_ reason: Transition.Reason) -> String {
    switch reason {
    case .rates: "The rates of its rounds are those that it claims"
    case .mismatch: "The rates of its rounds are far above its claim: it is another model"
    case .slow: "The rates of its rounds are below its claim"
    case .undecided: "Its rounds are over and decided nothing"
    case .refused(let refusal): "A proof was refused: \(refusal.explanation)"
    case .unanswered: "No answer came in time"
    case .noMemory: "It has not free what it states as memory"
    case .verifierFailed: "The head could not judge, by its own fault"
    case .interrupted: "It was gone in the middle of a round, and is run again once it is back"
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
