internal import IorunCore
internal import IorunWire

/// The node's runtime side, for the machine's owner.
extension Hub {
  /// How many processes of each program work here; idle ones do not count.
  func workingProcesses() -> [JobID: Int] {
    jobs.mapValues { job in working(job).count }.filter { $0.value > 0 }
  }

  /// Ends every process that works; tasks and actors begin anew elsewhere, where they may.
  func endWork(reason: String) {
    for job in Array(jobs.values) {
      for process in working(job) {
        process.order = process.order ?? (reason, false, false)
        gone(process)
      }
    }
  }

  private func working(_ job: HubJob) -> [HubProcess] {
    job.processes.values.filter { scheduler.order(of: $0.worker) != nil }
  }
}
