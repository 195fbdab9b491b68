import Testing

extension RealProcesses {
  /// A Swift program of a runtime job: `Tests/Support/ClusterProgram`.
  @Suite(.serialized)
  struct `A Swift cluster program` {
    @Test(
      .timeLimit(.minutes(1)),
      arguments: ["tasks", "errors", "cancel", "streams", "objects", "actors", "named", "groups"])
    func `uses tasks, actors and objects of one node`(scenario: String) async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        try await Self.run(scenario, network)
      }
    }

    @Test(.timeLimit(.minutes(1)))
    func `uses those of other nodes`() async throws {
      try await TestNetwork.with(nodes: 2, cpus: 2) { network in
        try await Self.run("nodes", network)
      }
    }

    @Test(.timeLimit(.minutes(1)))
    func `leaves a detached actor to the next program`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        try await Self.run("detach", network)
        try await Self.run("attach", network)
      }
    }

    @Test
    func `says what to do where no network runs`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let end = try await network.cluster("tasks")
        #expect(end.status == 1)
        #expect(end.errors.contains("iorun up"), "\(end)")
      }
    }

    private static func run(_ scenario: String, _ network: TestNetwork) async throws {
      let end = try await network.cluster(scenario)
      #expect(end.status == 0, "\(end)")
      #expect(end.output.contains("ok \(scenario)"), "\(end)")
    }
  }
}

extension TestNetwork {
  /// Runs a scenario of the cluster program as a driver in this network.
  fileprivate func cluster(_ scenario: String) async throws -> CommandResult {
    try await RunningCommand(
      Binaries.clusterProgram, [scenario], scratch: root + "/commands",
      environment: ["IORUN_STATE_DIR": state], directory: root
    ).finish(within: .seconds(50))
  }
}
