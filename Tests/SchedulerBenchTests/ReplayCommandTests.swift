import Testing

@Suite("SchedulerBench replay and scale")
struct ReplayCommandTests {
  private func replay(_ jobs: String, policy: String = "ours") throws -> BenchFiles.Outcome {
    let files = try BenchFiles()
    try files.write(jobs, "jobs.csv")
    return try files.run("replay", "--jobs", "jobs.csv", "--policy", policy, "--json")
  }

  @Test(
    "Each policy runs a trace with other columns, times and line ends",
    arguments: ["ours", "fifo", "easy"])
  func policies(policy: String) throws {
    // A job for more GPUs than there are is refused; one without any is not the cluster's.
    let jobs =
      "duration,Timestamp,user,num_gpus\r\n60,2020-01-01T00:00:00.5Z,a,1\r\n"
      + "30.0,2020-01-01 00:00:10.5,b,2\r\n\r\n5,2020-01-01 00:00:00,c,0\r\n"
      + "9,2020-01-01 00:00:00,d,700\r\n"
    let outcome = try replay(jobs, policy: policy)
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.values["jobs"] == 3)
    #expect(outcome.values["finished"] == 2)
    #expect(outcome.values["refused"] == 1)
    #expect(outcome.values["without_gpu"] == 1)
    #expect(outcome.values["jct_mean_seconds"] == 45)
    for key in [
      "jct_p50_seconds", "jct_p99_seconds", "makespan_seconds", "bounded_slowdown", "jain_index",
    ] {
      #expect(outcome.values[key] != nil, "\(key) in \(outcome.output)")
    }
  }

  @Test("A trace without jobs is no error")
  func empty() throws {
    let outcome = try replay("timestamp,duration,num_gpus,cluster\n")
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(outcome.values["finished"] == 0)
  }

  @Test(
    "What cannot be meant is refused with its line",
    arguments: [
      ("timestamp,duration,num_gpus\n0,-5,1\n", "line 2"),
      ("timestamp,duration,num_gpus\n\n0,inf,1\n", "line 3"),
      ("timestamp,duration,num_gpus\n0,,1\n", "line 2"),
      ("timestamp,duration,num_gpus\n0,5,-1\n", "line 2"),
      ("timestamp,duration,num_gpus\n0,5,1.5\n", "line 2"),
      ("timestamp,duration,num_gpus\nyesterday,5,1\n", "line 2"),
      ("timestamp,duration,num_gpus\n2020-13-01 00:00:00,5,1\n", "line 2"),
      ("timestamp;duration;num_gpus\n0;5;1\n", "no column 'timestamp'"),
    ])
  func refused(jobs: String, words: String) throws {
    let outcome = try replay(jobs)
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
  }

  @Test("scale prints its figures for a cluster of any size", arguments: [1, 9, 500])
  func scale(devices: Int) throws {
    let outcome = try BenchFiles().run(
      "scale", "--devices", "\(devices)", "--tasks", "200", "--shapes", "5", "--seed", "3",
      "--json")
    #expect(outcome.status == 0, "\(outcome.errors)")
    for key in ["decisions_per_second", "p50_us", "p99_us", "p999_us", "bytes_per_device"] {
      #expect(outcome.values[key] != nil, "\(key) in \(outcome.output)")
    }
  }

  @Test("scale refuses sizes that are none")
  func scaleRefused() throws {
    let outcome = try BenchFiles().run("scale", "--devices", "0", "--json")
    #expect(outcome.status == 2)
    #expect(outcome.errors.contains("must be"))
  }
}
