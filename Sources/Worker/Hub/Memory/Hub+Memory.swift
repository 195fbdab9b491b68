internal import Foundation
internal import Glibc
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// Watches the machine's memory, so that a task that takes too much ends, and not the node.
extension Hub {
  /// What one look at the memory has found.
  private struct Look: Sendable {
    var reading: MemoryReading
    var candidates: [MemoryPressure.Candidate]
    /// Those that were ended have left their memory.
    var areGone: Bool
  }

  /// Looks at the memory from now on.
  func watchMemory() {
    let period = settings.memory.period
    guard period > .zero else { return }
    after(period) { hub in
      guard !hub.isStopping else { return }
      hub.lookAtMemory()
    }
  }

  private func lookAtMemory() {
    let running = memoryCandidates()
    guard !running.isEmpty else { return watchMemory() }
    let (mailbox, read, pressure) = (mailbox, settings.readFile, memoryPressure)
    let ended = endedForMemory
    Task { @Sendable in
      // Fails only where the agent is being stopped.
      let found = try? await Blocking.run { () -> Look? in
        guard let reading = MemoryReading(read: read), pressure.isHigh(reading) else { return nil }
        let pageSize = Int64(sysconf(Int32(_SC_PAGESIZE)))
        let candidates = running.compactMap { pid, candidate in
          MemoryReading.ofProcess(pid, pageSize: pageSize, read: read).map { bytes in
            var candidate = candidate
            candidate.bytes = bytes
            return candidate
          }
        }
        // One that is dead and not reaped has a name, but no memory.
        let areGone = ended.allSatisfy {
          (MemoryReading.ofProcess($0, pageSize: pageSize, read: read) ?? 0) == 0
        }
        return Look(reading: reading, candidates: candidates, areGone: areGone)
      }
      mailbox.post { hub in
        if let look = found ?? nil { hub.relieve(look) }
        hub.watchMemory()
      }
    }
  }

  /// Everybody but drivers.
  private func memoryCandidates() -> [(pid: Int32, candidate: MemoryPressure.Candidate)] {
    var found: [(pid: Int32, candidate: MemoryPressure.Candidate)] = []
    for job in jobs.values {
      for process in job.processes.values where !process.isDriver {
        guard let pid = process.pid else { continue }
        let isRetriable =
          process.actor.map { $0.spec.maxRestarts != 0 }
          ?? scheduler.isRetriable(process.worker)
        found.append(
          (
            pid,
            MemoryPressure.Candidate(
              worker: process.worker, bytes: 0, order: scheduler.order(of: process.worker),
              isRetriable: isRetriable)
          ))
      }
    }
    return found
  }

  private func relieve(_ look: Look) {
    let victims = memoryPressure.victims(
      look.reading, look.candidates, areGone: look.areGone, now: .now)
    guard !victims.isEmpty else { return }
    endedForMemory = []
    let account = account(of: look, victims)
    logger.warning("\(account)")
    for victim in victims {
      for job in jobs.values {
        guard let process = job.processes[victim.worker] else { continue }
        if let pid = process.pid { endedForMemory.append(pid) }
        process.order =
          process.order
          ?? ("\(account)\nThis process had \(Self.gigabytes(victim.bytes)).", false, true)
        gone(process)
      }
    }
  }

  /// What programs read: Ray's words, and its figures.
  private func account(of look: Look, _ victims: [MemoryPressure.Candidate]) -> String {
    let (reading, threshold) = (look.reading, settings.memory.threshold(look.reading.total))
    let share = String(format: "%.6f", reading.share)
    let percent = String(format: "%.1f", Double(threshold) / Double(reading.total) * 100)
    var lines = [
      "\(victims.count) worker(s) were killed due to the node running low on memory. Memory on the"
        + " node (IP: \(settings.address), ID: \(settings.node)) was"
        + " \(Self.gigabytes(reading.used)) used / \(Self.gigabytes(reading.total)) limit (\(share))",
      "OOM kill reason: Memory usage \(reading.used)B exceeded threshold of \(threshold)B"
        + " (\(percent)% of \(reading.total)B limit)",
      "Considered workers, the most memory first:",
    ]
    let chosen = Set(victims.map(\.worker))
    for candidate in look.candidates.sorted(by: { $0.bytes > $1.bytes }).prefix(10) {
      lines.append(
        (chosen.contains(candidate.worker) ? "  Selected to kill: (" : "  (")
          + name(of: candidate) + ", actual memory used=\(Self.gigabytes(candidate.bytes))"
          + ", worker ID=\(candidate.worker))")
    }
    return lines.joined(separator: "\n")
  }

  private func name(of candidate: MemoryPressure.Candidate) -> String {
    for job in jobs.values {
      guard let process = job.processes[candidate.worker] else { continue }
      let pid = process.pid.map { "pid=\($0)" } ?? "no pid"
      if let actor = process.actor {
        return "Actor(\(actor.spec.actor)): class=\(actor.spec.className), \(pid)"
      }
      let work = candidate.order == nil ? "Idle worker" : "Task worker"
      return "\(work): job ID=\(job.id), \(pid)"
        + (candidate.isRetriable ? "" : ", not retriable")
    }
    return "gone"
  }

  private static func gigabytes(_ bytes: Int64) -> String {
    String(format: "%.2fGB", Double(bytes) / Double(1 << 30))
  }
}
