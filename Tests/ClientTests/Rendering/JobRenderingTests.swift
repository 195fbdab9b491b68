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
