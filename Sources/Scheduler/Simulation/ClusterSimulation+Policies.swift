/// The three policies.
extension ClusterSimulation {
  /// First come, first served; with EASY, others may go first where the first one is not delayed.
  mutating func passLine() {
    var started = 0
    while started < line.count, jobs[line[started]].gpus <= freeGPUs {
      start(line[started])
      started += 1
    }
    line.removeFirst(started)
    guard policy == .easy, line.count > 1, freeGPUs > 0 else { return }
    var reservation = Reservation(
      for: demands[line[0]], free: free,
      releases: running.map { job in
        let begun = states[job].term?.startedAtSeconds ?? now
        return Reservation.Release(
          atSeconds: begun + jobs[job].runtimeSeconds, demand: demands[job])
      })
    var left = [line[0]]
    for (index, job) in line.enumerated().dropFirst() {
      if freeGPUs == 0 {
        left.append(contentsOf: line[index...])
        break
      }
      if reservation.admit(demands[job], endsBySeconds: now + jobs[job].runtimeSeconds) {
        start(job)
      } else {
        left.append(job)
      }
    }
    line = left
  }

  /// Most urgent first. A gang that does not fit takes back open tails of gangs that had more
  /// service; where these are not enough, the first such gang gets a reservation, and what comes
  /// after it may start only where it is not delayed.
  mutating func passQueue() throws {
    var pass = queue.pass(shares: shares, atSeconds: now)
    var reservation: Reservation?
    while let entry = queue.first(in: pass) {
      let job = entry.id
      if let kept = reservation {
        var tried = kept
        if tried.admit(entry.demand, endsBySeconds: now + likelySeconds(job)) {
          reservation = tried
        } else {
          queue.close(lineOf: entry, in: &pass)
          continue
        }
      } else if jobs[job].gpus > freeGPUs {
        guard let plan = preemption(for: entry) else {
          reservation = Reservation(
            for: entry.demand, free: free, releases: running.map { release($0, for: entry) })
          queue.close(lineOf: entry, in: &pass)
          continue
        }
        queue.remove(job)
        for victim in plan.victims { try preempt(victim) }
        start(job)
        queue.note(shares, of: entry.tenant, in: &pass)
        continue
      }
      queue.remove(job)
      start(job)
      queue.note(shares, of: entry.tenant, in: &pass)
    }
  }

  private var free: QueueDemand { QueueDemand(amounts: SIMD4(Double(freeGPUs), 0, 0, 0)) }

  private func preemption(for entry: GangQueue.Entry) -> PreemptionPlan? {
    guard settings.preempts else { return nil }
    var candidates: [PreemptionPlan.Candidate] = []
    for job in running {
      guard let term = states[job].term, term.mayBePreempted(atSeconds: now),
        yields(job, entry, now)
      else { continue }
      let lost = uncheckpointedSeconds(job) + settings.restartSeconds
      candidates.append(
        PreemptionPlan.Candidate(
          id: job, demand: demands[job], cost: lost * Double(jobs[job].gpus)))
    }
    return PreemptionPlan.cheapest(for: entry.demand, free: free, candidates: candidates)
  }

  /// True where a running gang will have had more service by then than one that waits.
  private func yields(_ job: Int, _ entry: GangQueue.Entry, _ time: Double) -> Bool {
    let attained = states[job].attainedSeconds + ranSeconds(job) + max(0, time - now)
    return ServiceLevel.level(ofAttainedSeconds: attained) > entry.level
  }

  /// When a running gang will have gone: at its likely end, or when its tail can be taken back.
  private func release(_ job: Int, for entry: GangQueue.Entry) -> Reservation.Release {
    var end = now + likelySeconds(job)
    if let term = states[job].term, settings.preempts {
      let opens = max(now, term.committedUntilSeconds)
      if yields(job, entry, opens) { end = min(end, opens) }
    }
    return Reservation.Release(atSeconds: end, demand: demands[job])
  }

  /// Nine in ten of the tenant's jobs that ran for as long had ended within so many more seconds.
  private func likelySeconds(_ job: Int) -> Double {
    let age = states[job].attainedSeconds + ranSeconds(job)
    return curves[jobs[job].tenant]?.remainingSeconds(atAgeSeconds: age, quantile: 0.9)
      ?? .infinity
  }
}
