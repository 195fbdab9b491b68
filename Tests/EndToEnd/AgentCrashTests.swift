import Foundation
import Testing

extension RealProcesses {
  /// An agent that is killed at each step of a lease's life: the next one finds everything, and the
  /// head knows what became of the job.
  @Suite(
    .serialized,
    .enabled(
      if: Privileges.canMakeNamespaces
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/bwrap")
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/gocryptfs"),
      "needs root, iproute2, nftables, bubblewrap and gocryptfs"))
  struct `An agent that is killed` {
    /// What is done with the job that leads to the point.
    private enum Job { case endless, sized, talking, cancelled, short }

    private static let points: [(name: String, job: Job)] = [
      ("lease.reserved", .endless), ("lease.identified", .endless),
      ("lease.folder-made", .endless), ("scratch.encrypted", .sized),
      ("scratch.formatted", .sized), ("scratch.mounted", .sized),
      ("lease.scratch-open", .endless), ("lease.staged", .endless), ("lease.given", .endless),
      ("lease.prepared", .endless), ("lease.starting", .endless), ("lease.connected", .endless),
      ("sandbox.limited", .endless), ("sandbox.started", .endless), ("lease.running", .endless),
      ("log.read", .talking), ("lease.stopping", .cancelled),
      ("lease.ended", .short), ("lease.collected", .short), ("lease.finished", .short),
      ("lease.returning", .short), ("scratch.unmounted", .short), ("scratch.shredded", .short),
      ("lease.scratch-closed", .short), ("lease.folder-removed", .short),
      ("lease.disconnected", .short),
    ]

    /// Where an OCI runtime makes a difference.
    private static let driverPoints = [
      "lease.connected", "sandbox.limited", "sandbox.started", "lease.running", "log.read",
      "lease.stopping", "lease.ended",
    ]

    @Test(.timeLimit(.minutes(15)), arguments: ["bwrap", "oci"])
    func `at any point of a lease's life leaves nothing, and the head knows the truth`(
      isolation: String
    ) async throws {
      let points = Self.points.filter {
        isolation == "bwrap" || Self.driverPoints.contains($0.name)
      }
      try await TestNetwork.with(nodes: 1) { network in
        let drained = try await network.iorun("drain", "node-1")
        try #require(drained.status == 0, "\(drained)")
        let ticket = try await `A ticket`.ticket(.supplier, network)
        let state = network.root + "/far"
        let node = state + "/node"
        let marker = "\(700_000 + getpid())"
        var jobs: [String] = []
        var left: SandboxTraces?
        for (index, point) in points.enumerated() {
          let first = index == 0 ? [ticket, "--name", "far", "--cpus", "4"] : []
          let agent = try network.start(
            ["join"] + first + ["--isolation", isolation], state: state,
            environment: ["IORUN_CRASH_AT": point.name])
          try await Self.isRegistered(agent)
          // What the agent before it left is gone by now, but for processes that are on their way.
          if let left {
            try await Self.isGone(left, node, marker, jobs, after: points[index - 1].name)
            if points[index - 1].job == .talking, let job = jobs.last {
              try await Self.isHeard(job, network)
            }
          }
          let job = try await Self.submit(point.job, marker: marker, network)
          jobs.append(job)
          if point.job == .cancelled {
            _ = try await network.job(job, reaches: "running")
            _ = try await network.iorun("cancel", job)
          }
          let end: CommandResult
          do { end = try await agent.finish() } catch {
            throw NeverHappened(description: "\(point.name) was never reached: \(error)")
          }
          #expect(end.status == 128 + SIGKILL, "\(point.name): \(end)")
          let traces = SandboxTraces(node: node, marker: marker, jobs: jobs)
          left = traces
          try await Self.isKnown(job, point.name, point.job, network)
        }
        let last = try network.start(["join", "--isolation", isolation], state: state)
        try await Self.isRegistered(last)
        if let left { try await Self.isGone(left, node, marker, jobs, after: "the last") }
        // It works on.
        let after = try await network.detach("--", "id", "-u")
        _ = try await network.job(after, reaches: "succeeded")
        last.signal(SIGINT)
        _ = try await last.finish()
        // gocryptfs ends, and its key with it, a moment after the mount is gone.
        try await eventually("nothing is left") {
          SandboxTraces(node: node, marker: marker, jobs: jobs).isEmpty
        } detail: {
          "\(SandboxTraces(node: node, marker: marker, jobs: jobs)) \(last.errors.suffix(2000))"
        }
      }
    }

    /// The head finds out how a job stands whose agent died at that point, and forgets it.
    private static func isKnown(
      _ job: String, _ point: String, _ kind: Job, _ network: TestNetwork
    ) async throws {
      let isBegun =
        points.firstIndex { $0.name == "lease.starting" }
        .map { points[$0...].contains { $0.name == point } } ?? false
      let truth: [String]
      switch kind {
      // Nothing of it ran, so it waits for another node; what ran is lost with its node.
      case .endless, .sized, .talking: truth = isBegun ? ["failed"] : ["queued"]
      case .cancelled: truth = ["cancelled"]
      case .short:
        // Before the head has heard of the end it cannot know better than that the node was lost.
        let isTold = !["lease.ended", "lease.collected", "lease.finished"].contains(point)
        truth = isTold ? ["succeeded"] : ["failed"]
      }
      var end: [String: Any] = [:]
      try await eventually("\(point): the job is \(truth)") {
        end = try await network.job(job)
        return truth.contains(end["state"] as? String ?? "")
      } detail: {
        "\(end)"
      }
      if truth != ["succeeded"], kind != .cancelled {
        #expect("\(end["ranks"] ?? "")".contains("node_lost"), "\(point): \(end)")
      }
      guard truth == ["queued"] else { return }
      let cancelled = try await network.iorun("cancel", job)
      #expect(cancelled.status == 0, "\(point): \(cancelled)")
      _ = try await network.job(job, reaches: "cancelled")
    }

    private static func submit(
      _ kind: Job, marker: String, _ network: TestNetwork
    ) async throws -> String {
      switch kind {
      case .endless, .cancelled: try await network.detach("--", "sleep", marker)
      // Its words are in the agent's vault, and nobody else has them.
      case .talking:
        try await network.detach("--", "sh", "-c", "echo last words; exec sleep \(marker)")
      // None of that size was made ahead.
      case .sized: try await network.detach("--disk", "64MiB", "--", "sleep", marker)
      case .short:
        try await network.detach("--output", "made.txt", "--", "sh", "-c", "echo x > made.txt")
      }
    }

    /// The next agent brings the head what a rank said, whose agent died before it could.
    private static func isHeard(_ job: String, _ network: TestNetwork) async throws {
      var log = ""
      try await eventually("the last words of \(job) are at the head") {
        log = try await network.iorun("logs", job).output
        return log.contains("last words")
      } detail: {
        log
      }
    }

    private static func isRegistered(_ agent: RunningCommand) async throws {
      try await agent.prints("this node is registered", within: .seconds(60))
    }

    private static func isGone(
      _ left: SandboxTraces, _ node: String, _ marker: String, _ jobs: [String],
      after point: String
    ) async throws {
      try await eventually("what was left at \(point) is gone") {
        left.intersection(SandboxTraces(node: node, marker: marker, jobs: jobs)).isEmpty
      } detail: {
        "\(left.intersection(SandboxTraces(node: node, marker: marker, jobs: jobs)))"
      }
    }
  }
}
