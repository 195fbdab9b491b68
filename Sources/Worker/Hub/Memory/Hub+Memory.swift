internal import Foundation
internal import Glibc
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// Watches the machine's memory, so that a task that takes too much ends, and not the node.
extension Hub {
  /// How often the memory is looked at.
  private static let memoryPause = Duration.milliseconds(500)

  /// Looks at the memory from now on.
  func watchMemory() {
    after(Self.memoryPause) { hub in
      guard !hub.isStopping else { return }
      hub.lookAtMemory()
    }
  }

  private func lookAtMemory() {
    let running = memoryCandidates()
    guard !running.isEmpty else { return watchMemory() }
    let (mailbox, read, pressure) = (mailbox, settings.readFile, memoryPressure)
    Task { @Sendable in
      // Fails only where the agent is being stopped.
      let found = try? await Blocking.run {
        () -> (MemoryReading, [MemoryPressure.Candidate])? in
        guard let reading = MemoryReading(read: read), pressure.isHigh(reading) else { return nil }
        let pageSize = Int64(sysconf(Int32(_SC_PAGESIZE)))
        let candidates = running.compactMap { pid, candidate in
          MemoryReading.ofProcess(pid, pageSize: pageSize, read: read).map { bytes in
            MemoryPressure.Candidate(
              worker: candidate.worker, bytes: bytes, order: candidate.order,
              isRetriable: candidate.isRetriable)
          }
        }
        return (reading, candidates)
      }
      mailbox.post { hub in
        if let (reading, candidates) = found ?? nil { hub.relieve(reading, candidates) }
        hub.watchMemory()
      }
    }
  }

  /// Everybody who works now; idle workers have nothing to give.
  private func memoryCandidates() -> [(pid: Int32, candidate: MemoryPressure.Candidate)] {
    var found: [(pid: Int32, candidate: MemoryPressure.Candidate)] = []
    for job in jobs.values {
      for process in job.processes.values {
        guard let pid = process.pid, let order = scheduler.order(of: process.worker) else {
          continue
        }
        // A task is tried again unless its owner forbids it, which only its owner knows.
        let isRetriable = process.actor.map { $0.spec.maxRestarts != 0 } ?? true
        found.append(
          (
            pid,
            MemoryPressure.Candidate(
              worker: process.worker, bytes: 0, order: order, isRetriable: isRetriable)
          ))
      }
    }
    return found
  }

  private func relieve(_ reading: MemoryReading, _ candidates: [MemoryPressure.Candidate]) {
    guard let victim = memoryPressure.victim(reading, candidates, now: .now) else { return }
    for job in jobs.values {
      guard let process = job.processes[victim.worker] else { continue }
      let reason =
        "the node ran out of memory: \(reading.used >> 20) of \(reading.total >> 20) MiB were in use,"
        + " of which this process had \(victim.bytes >> 20) MiB; it was the newest"
      logger.warning("worker \(victim.worker) of job \(job.id) is ended: \(reason)")
      process.order = process.order ?? (reason, false, true)
      gone(process)
    }
  }
}
