/// How well a policy did on a trace.
public struct ReplayMeasures: Sendable, Hashable {
  /// From arrival to end (job completion time), over jobs that ended: the mean.
  public var meanSeconds = 0.0
  /// The same: half of the jobs took no longer.
  public var medianSeconds = 0.0
  /// The same: 99 of 100 jobs took no longer.
  public var p99Seconds = 0.0
  /// From the first arrival to the last end.
  public var makespanSeconds = 0.0
  /// The mean of completion time over running time, with running times of at least 10 s (Feitelson).
  public var boundedSlowdown = 0.0
  /// Jain's index over tenants (Jain et al., 1984) of how much of their jobs' time in the system,
  /// weighted by GPUs, was service: 1 where all were served alike.
  public var jainIndex = 1.0
  /// Jain's index over tenants of the mean bounded slowdown.
  public var jainIndexOfSlowdown = 1.0
  /// Jobs that ended.
  public var finished = 0
  /// Jobs that the cluster can never hold.
  public var refused = 0
  /// Leases taken back.
  public var preemptions = 0
  /// The work that was lost by that, restarts included.
  public var lostGPUHours = 0.0

  private struct Tenant {
    var jobs = 0.0
    var slowdown = 0.0
    var service = 0.0
    var presence = 0.0
  }

  init(jobs: [SimulatedJob], endsAtSeconds ends: [Double?]) {
    var times: [Double] = []
    var tenants: [Int: Tenant] = [:]
    for (job, end) in zip(jobs, ends) {
      guard let end else {
        refused += 1
        continue
      }
      let time = end - job.submittedAtSeconds
      let slowdown = max(1, time / max(10, job.runtimeSeconds))
      times.append(time)
      makespanSeconds = max(makespanSeconds, end)
      boundedSlowdown += slowdown
      var tenant = tenants[job.tenant] ?? Tenant()
      tenant.jobs += 1
      tenant.slowdown += slowdown
      tenant.service += job.runtimeSeconds * Double(job.gpus)
      tenant.presence += time * Double(job.gpus)
      tenants[job.tenant] = tenant
    }
    finished = times.count
    guard finished > 0 else { return }
    times.sort()
    meanSeconds = times.reduce(0, +) / Double(finished)
    medianSeconds = times[finished / 2]
    p99Seconds = times[min(finished - 1, Int(0.99 * Double(finished)))]
    boundedSlowdown /= Double(finished)
    makespanSeconds -= jobs.map(\.submittedAtSeconds).min() ?? 0
    let sorted = tenants.sorted { $0.key < $1.key }.map(\.value)
    jainIndex = Self.jain(sorted.map { $0.presence > 0 ? $0.service / $0.presence : 1 })
    jainIndexOfSlowdown = Self.jain(sorted.map { $0.slowdown / $0.jobs })
  }

  /// `(sum x)^2 / (n * sum x^2)`.
  static func jain(_ values: [Double]) -> Double {
    let squares = values.reduce(0) { $0 + $1 * $1 }
    guard squares > 0 else { return 1 }
    let sum = values.reduce(0, +)
    return sum * sum / (Double(values.count) * squares)
  }
}
