public import IorunContract
internal import IorunCore

/// Jobs for people. `now` is in seconds since 1970.
public enum JobRendering {
  /// A job in one line that may be rewritten every second.
  public static func liveLine(_ job: JobStatus, now: Double) -> String {
    let end = job.endedAt ?? now
    let time = Ages.duration(seconds: end - (job.startedAt ?? job.submittedAt))
    return "\(changeLine(job)) (\(time))"
  }

  /// A job in one line that is the same until something happens.
  public static func changeLine(_ job: JobStatus) -> String {
    var line = "\(job.id) \(job.spec.name): \(job.state.rawValue)"
    if job.attempt > 1 { line += ", attempt \(job.attempt)" }
    switch job.state {
    case .preparing, .running:
      let nodes = Set(job.ranks.map(\.node)).count
      let wanted: RankStatus.State = job.state == .running ? .running : .prepared
      let count = job.ranks.count { $0.state == wanted }
      let total = count == job.ranks.count ? "" : "\(count) of "
      line += ", \(total)\(plural(job.ranks.count, "rank")) on \(plural(nodes, "node"))"
    case .queued, .stopping, .succeeded, .failed, .cancelled: break
    }
    if let reason = job.reason, reason != job.state.rawValue { line += ": \(reason)" }
    return TerminalText.oneLine(line)
  }

  /// Jobs as a table, in the order given.
  public static func table(_ jobs: [JobStatus], now: Double) -> Table {
    Table(
      columns: [
        .init("JOB"), .init("NAME", mayShrink: true), .init("STATE"),
        .init("RANKS", isRightAligned: true), .init("AGE"), .init("TIME"),
        .init("REASON", mayShrink: true),
      ],
      rows: jobs.map { job in
        [
          job.id.description, job.spec.name, job.state.rawValue, "\(job.spec.gang.ranks)",
          Ages.duration(seconds: now - job.submittedAt),
          job.startedAt.map { Ages.duration(seconds: (job.endedAt ?? now) - $0) } ?? "-",
          job.reason ?? "",
        ]
      })
  }

  /// Everything about one job: what it is, where its ranks are, how they ended.
  public static func details(_ job: JobStatus, now: Double, style: TerminalStyle) -> String {
    var lines = [changeLine(job)]
    let gang = job.spec.gang
    lines.append("  gang: \(plural(gang.ranks, "rank")), each \(gang.resources)")
    lines.append(
      "  submitted: \(Ages.time(job.submittedAt)), \(Ages.ago(job.submittedAt, now: now))")
    if let started = job.startedAt {
      lines.append("  ran for: \(Ages.duration(seconds: (job.endedAt ?? now) - started))")
    }
    var text = lines.map { TerminalText.oneLine($0) + "\n" }.joined()
    if !job.ranks.isEmpty { text += "\n" + ranks(job).render(style) }
    let met = limits(job).map { TerminalText.oneLine("  " + $0) + "\n" }
    if !met.isEmpty { text += "\n" + met.joined() }
    return text
  }

  /// The limits that ended ranks met, and with which figures; a line for each of them. The processor's is
  /// left out of these: a rank that uses all that it may meets it.
  static func limits(_ job: JobStatus) -> [String] {
    job.ranks.prefix(64).compactMap { rank in
      guard let usage = rank.usage else { return nil }
      var parts = usage.limitsHit.filter { !["cpu", "memory", "processes"].contains($0) }
      if let kills = usage.outOfMemoryKills, kills > 0 {
        let peak = usage.peakMemory.map { ", the most at once was \($0)" } ?? ""
        parts.append("memory (\(plural(kills, "process", "processes")) killed\(peak))")
      }
      if let refused = usage.refusedProcesses, refused > 0 {
        parts.append("processes (\(refused) refused)")
      }
      if parts.isEmpty { return nil }
      if let waited = usage.throttledMilliseconds, waited > 0 {
        parts.append("cpu (waited \(Ages.duration(seconds: Double(waited) / 1000)))")
      }
      return
        "rank \(rank.rank) on \(rank.nodeName) met its limit of \(parts.joined(separator: ", "))"
    }
  }

  /// Why a job failed, for stderr: each rank that failed by itself, with its last lines.
  public static func failure(_ job: JobStatus) -> String {
    var lines = ["\(job.id) \(job.spec.name) \(job.state.rawValue)"]
    if let reason = job.reason { lines[0] += ": \(reason)" }
    let failed = job.ranks.filter { rank in
      rank.cause.map { !$0.isSuccess && $0 != .gangStopped && $0 != .cancelled } ?? false
    }
    for rank in failed.prefix(8) {
      let cause = rank.cause.map { " \($0)" } ?? ""
      let line = "rank \(rank.rank) on \(rank.nodeName)\(cause)"
      // The headline often says just this.
      if job.reason?.contains(line) != true { lines.append("  \(line)") }
      lines += rank.lastLines.suffix(10).map { "    | \($0)" }
    }
    lines += limits(job).prefix(8).map { "  \($0)" }
    if failed.count > 8 { lines.append("  and \(plural(failed.count - 8, "rank")) more") }
    lines.append("  all output: iorun logs \(job.id)")
    return lines.map { TerminalText.oneLine($0) + "\n" }.joined()
  }

  private static func ranks(_ job: JobStatus) -> Table {
    Table(
      columns: [
        .init("RANK", isRightAligned: true), .init("NODE", mayShrink: true), .init("STATE"),
        .init("END", mayShrink: true),
      ],
      rows: job.ranks.map { rank in
        ["\(rank.rank)", rank.nodeName, rank.state.rawValue, rank.cause?.description ?? ""]
      })
  }

  static func plural(_ number: Int, _ noun: String, _ many: String? = nil) -> String {
    "\(number) \(number == 1 ? noun : many ?? noun + "s")"
  }
}
