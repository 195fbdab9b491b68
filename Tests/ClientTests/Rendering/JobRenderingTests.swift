import IorunClient
import IorunContract
import IorunCore
import Testing

@Suite struct JobRenderingTests {
  @Test func `the live line counts the ranks and the seconds`() {
    let job = Samples.job(ranks: [Samples.rank(0), Samples.rank(1, .prepared)])
    #expect(
      JobRendering.liveLine(job, now: 1052)
        == "job-7k3f9q2m digits: running, 1 of 2 ranks on 2 nodes (42s)")
  }

  @Test func `the line for a pipe has no seconds, and says why a job waits`() {
    let job = Samples.job(.queued, reason: "2 nodes seen: 2 busy")
    #expect(JobRendering.changeLine(job) == "job-7k3f9q2m digits: queued: 2 nodes seen: 2 busy")
  }

  @Test func `a failure shows the rank that failed first and its last lines`() {
    let job = Samples.job(
      .failed,
      ranks: [
        Samples.rank(0, .ended, cause: .gangStopped),
        Samples.rank(
          1, .ended, cause: .signalled(signal: 9), lastLines: ["loading\u{1B}[2J", "epoch 1"]),
      ], reason: "rank 1 failed")
    #expect(
      JobRendering.failure(job) == """
        job-7k3f9q2m digits failed: rank 1 failed
          rank 1 on node-2 killed by signal 9 (SIGKILL, often out of memory)
            | loading?[2J
            | epoch 1
          all output: iorun logs job-7k3f9q2m

        """)
  }

  @Test func `limits that a rank met are told with their figures`() {
    let usage = RankUsage(
      peakMemory: .mebi(128), outOfMemoryKills: 2, refusedProcesses: 3,
      throttledMilliseconds: 61_000, limitsHit: ["cpu", "memory", "processes", "disk"])
    let job = Samples.job(
      .failed, ranks: [Samples.rank(0, .ended, cause: .exited(status: 137), usage: usage)])
    let line = """
      rank 0 on node-1 met its limit of disk, memory (2 processes killed, the most at once was \
      128 MiB), processes (3 refused), cpu (waited 1m 1s)
      """
    #expect(JobRendering.failure(job).contains("  \(line)\n"))
    #expect(JobRendering.details(job, now: 1100, style: .plain).hasSuffix("\n\n  \(line)\n"))
    // A busy rank meets that of the processor, and nothing is wrong with it.
    let busy = Samples.rank(
      0, .ended, cause: .exited(status: 0),
      usage: RankUsage(throttledMilliseconds: 5, limitsHit: ["cpu"]))
    #expect(
      !JobRendering.details(Samples.job(.succeeded, ranks: [busy]), now: 1100, style: .plain)
        .contains("limit"))
  }

  @Test func `jobs are a table of what people ask first`() {
    let text = JobRendering.table([Samples.job(.succeeded)], now: 1100).render(.plain)
    #expect(
      text == """
        JOB           NAME    STATE      RANKS  AGE     TIME  REASON
        job-7k3f9q2m  digits  succeeded      2  1m 40s  1m

        """)
  }

  @Test func `the details say what, when and where`() {
    let job = Samples.job(.succeeded, ranks: [Samples.rank(0, .ended, cause: .exited(status: 0))])
    #expect(
      JobRendering.details(job, now: 1100, style: .plain) == """
        job-7k3f9q2m digits: succeeded
          gang: 2 ranks, each 0.5 CPUs, 1 GiB memory
          submitted: 1970-01-01 00:16:40 UTC, 1m 40s ago
          ran for: 1m

        RANK  NODE    STATE  END
           0  node-1  ended  exited with status 0

        """)
  }
}
