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

  /// The head has not heard this node for so long that it counts it as lost: what works here for drivers
  /// of other nodes ends, and so does what is detached, for both may be run elsewhere by now. A driver of
  /// this node, which is somebody's own program, keeps its workers. Jobs that the head still has begin
  /// anew here when it is back.
  func fence(reason: String) {
    for job in Array(jobs.values) where job.record.driver.node != settings.node || job.isOver {
      // Whether it is over is the head's to say.
      let wasOver = job.isOver
      abandon(job, reason: reason)
      if !wasOver { endedJobs.removeAll { $0 == job.id } }
    }
  }

  private func working(_ job: HubJob) -> [HubProcess] {
    job.processes.values.filter { scheduler.order(of: $0.worker) != nil }
  }
}
