internal import IorunClient
internal import IorunCore
internal import IorunWorker

/// This machine's node for people.
enum WorkerRendering {
  /// Everything, a line for each thing.
  static func text(_ view: WorkerView, now: Double) -> String {
    guard view.isRunning else {
      return "the agent does not run: start it with `iorun join`\n" + wishes(view)
    }
    guard let status = view.status else {
      return "the agent is starting\n" + wishes(view)
    }
    var lines = [
      "\(status.name): \(status.isConnected ? "connected to" : "out of reach of") the head at "
        + "\(status.head)"
        + (status.roundTripMilliseconds.map { ", \(($0 * 10).rounded() / 10) ms" } ?? ""),
      "started \(Ages.ago(status.startedAtUnixSeconds, now: now)), as process \(status.processId)",
      status.hold.map { "takes no new work: \($0)" } ?? "takes work",
    ]
    if let found = status.isolation { lines += isolation(found) }
    lines += status.work.map { "  " + work($0) }
    if status.work.isEmpty { lines.append("  nothing runs here") }
    if let proof = status.proof { lines += self.proof(proof, now: now) }
    if let watch = status.guard { lines += self.watch(watch, now: now) }
    return lines.map { TerminalText.oneLine($0) + "\n" }.joined() + wishes(view)
  }

  /// How far work is kept apart.
  private static func isolation(_ found: IsolationView) -> [String] {
    let lack =
      found.missingLimits.isEmpty
      ? "" : ", no limit of \(found.missingLimits.joined(separator: ", "))"
    return [
      "sandboxes: \(found.drivers.joined(separator: ", ")); scratch: \(found.scratch ?? "none"); "
        + "networks: \(found.egress.joined(separator: ", "))\(lack)"
    ]
  }

  /// What the head's records say of the machine, and what it proved last. When the next window
  /// begins is a secret of the head's until it does.
  static func proof(_ proof: WorkerView.Proof, now: Double) -> [String] {
    let until = proof.untilEpoch.map { epoch in
      " for \(Ages.duration(seconds: Double(epoch + 1) * 3600 - now)) more"
    }
    let reason = proof.reason.map { " (\($0))" }
    var lines = [
      "proof of work: \(proof.status)\(until ?? "")\(reason ?? ""); the next run begins at a time "
        + "that only the head knows"
    ]
    if let working = proof.working { lines.append("  proves \(working) now") }
    for last in proof.latest {
      let outcome =
        switch (last.isAccepted, last.rate) {
        case (true?, let rate?):
          "accepted, \((rate / 1e4).rounded() / 100) million \(last.unit) a second"
        case (false?, _): "refused: \(last.refusal ?? "for no reason that was told")"
        default: "\(last.state)\(last.reason.map { ": \($0)" } ?? "")"
        }
      lines.append(
        "  last \(last.kind), \(Ages.ago(last.endedAtUnixSeconds, now: now)): \(outcome)")
    }
    return lines
  }

  /// What the owner wants, where that is anything.
  static func wishes(_ view: WorkerView) -> String {
    let wishes = view.wishes
    let parts = [
      wishes.isLeaving ? "leaves once nothing runs here" : nil,
      wishes.isPaused && !wishes.isLeaving ? "paused: takes no new work" : nil,
      wishes.hours.map { "works from \($0)" },
      wishes.idleMinutes.map { "works after \($0) minutes of quiet" },
      wishes.maximumCelsius.map { "works below \($0) °C" },
      wishes.endsWork ? "a passed limit ends what runs, after a minute" : nil,
    ].compactMap { $0 }
    return parts.isEmpty ? "may work at any time\n" : parts.map { $0 + "\n" }.joined()
  }

  /// One line, for whoever watches `iorun join`.
  static func liveLine(_ status: WorkerStatus) -> String {
    let ranks = status.work.filter { $0.rank != nil }
    let cores = Double(ranks.reduce(0) { $0 + $1.milliCPUs }) / 1000
    let programs = status.work.filter { $0.rank == nil }.count
    return [
      status.name,
      status.isConnected
        ? "connected"
          + (status.roundTripMilliseconds.map { " (\(($0 * 10).rounded() / 10) ms)" } ?? "")
        : "the head is out of reach",
      "\(ranks.count) \(ranks.count == 1 ? "rank" : "ranks"), "
        + "\(cores) of \(Double(status.milliCPUs) / 1000) cores",
      programs == 0 ? nil : "\(programs) \(programs == 1 ? "program" : "programs")",
      status.hold.map { "no new work: \($0)" },
    ].compactMap { $0 }.joined(separator: " · ")
  }

  /// The guard and its latest incidents, the newest first.
  private static func watch(_ watch: WorkerView.Guard, now: Double) -> [String] {
    let isDry = watch.isDryRun ? ", a dry run" : ""
    let head =
      "guard: \(watch.mode)\(isDry), \(watch.stopped) stopped, \(watch.reported) only reported"
    return [head]
      + watch.incidents.suffix(5).reversed().map { incident in
        let name = incident.program.isEmpty ? "a process" : incident.program
        return "  \(Ages.ago(incident.atUnixSeconds, now: now)): \(name), process "
          + "\(incident.processId) (\(incident.kind)), "
          + (incident.isStopped ? "stopped" : "left: \(incident.reason)")
      }
  }

  private static func work(_ work: WorkerView.Work) -> String {
    guard let rank = work.rank else { return "\(work.job): \(work.state)" }
    let gpus = work.gpus == 0 ? "" : ", \(work.gpus) GPUs"
    return "\(work.job) rank \(rank): \(work.state), \(work.cpus) cores, "
      + "\(Bytes(work.memoryBytes))\(gpus)"
  }
}
