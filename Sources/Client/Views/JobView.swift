public import IorunContract
internal import IorunCore

/// A job in JSON: `submit`, `cancel` and each entry of `JobsView`.
public struct JobView: Encodable, Sendable {
  let id: String
  let name: String
  let owner: String
  let state: String
  let isOver: Bool
  let attempt: Int
  let reason: String?
  let exitStatus: Int32?
  let command: [String]?
  let swiftTarget: String?
  let swiftArguments: [String]?
  let gang: GangView
  let env: [String: String]
  let outputs: [String]
  let timeoutSeconds: Double?
  let retries: Int
  let priority: Int
  let fenceSeconds: Double?
  let network: String?
  let image: String?
  let verification: String?
  let isolation: String?
  let ranks: [RankView]
  let submittedAtUnixSeconds: Double
  let startedAtUnixSeconds: Double?
  let endedAtUnixSeconds: Double?
  let revision: Int64

  /// What the gang is and what each rank takes.
  struct GangView: Encodable, Sendable {
    let ranks: Int
    let gpuModel: String?
    let placement: String?
    let resourcesPerRank: ResourceView
  }

  /// Shows a job.
  public init(_ job: JobStatus) {
    id = job.id.description
    name = job.spec.name
    owner = job.owner.description
    state = job.state.rawValue
    isOver = job.state.isTerminal
    attempt = job.attempt
    reason = job.reason
    exitStatus = job.exitStatus
    switch job.spec.entrypoint {
    case .command(let words): (command, swiftTarget, swiftArguments) = (words, nil, nil)
    case .swift(let target, let arguments):
      (command, swiftTarget, swiftArguments) = (nil, target, arguments)
    }
    gang = GangView(
      ranks: job.spec.gang.ranks, gpuModel: job.spec.gang.gpuModel,
      placement: job.spec.gang.placement?.description,
      resourcesPerRank: ResourceView(job.spec.gang.resources))
    env = job.spec.environment
    outputs = job.spec.outputs
    timeoutSeconds = job.spec.timeoutSeconds
    retries = job.spec.retries
    priority = job.spec.priority ?? JobLimits.usualPriority
    fenceSeconds = job.spec.fenceSeconds
    network = job.spec.network?.rawValue
    image = job.spec.image
    verification = job.spec.verification?.rawValue
    isolation = job.spec.isolation?.rawValue
    ranks = job.ranks.map(RankView.init)
    submittedAtUnixSeconds = job.submittedAt
    startedAtUnixSeconds = job.startedAt
    endedAtUnixSeconds = job.endedAt
    revision = job.revision
  }
}

/// Several jobs in JSON: `jobs`.
public struct JobsView: Encodable, Sendable {
  let jobs: [JobView]

  /// Shows jobs.
  public init(_ jobs: [JobStatus]) { self.jobs = jobs.map(JobView.init) }
}
