import IorunClient
import IorunContract
import IorunCore
import Testing

@Suite struct NetworkRenderingTests {
  @Test func `nodes show what is free of what is there`() {
    let text = NodeRendering.table([Samples.node], now: 1005).render(.plain)
    let lines = text.split(separator: "\n")
    #expect(lines.count == 2)
    for part in [
      "node-1", "alive", "2.5 of 4", "8 GiB of 16 GiB", "99 GiB", "1 of 1 NVIDIA H100", "0.4 ms",
      "5s ago",
    ] {
      #expect(lines[1].contains(part), "\(lines[1])")
    }
  }

  @Test func `the status is four lines, without states that nobody is in`() {
    #expect(
      StatusRendering.text(Samples.network, now: 1090) == """
        head    \(Samples.peer.short), iorun 0.1.0, up 1m 30s
        nodes   3 alive, 1 dead, 2 odd
        free    1.5 of 6 CPUs, 1 of 2 GPUs, 4 GiB of 12 GiB memory, 10 GiB of 20 GiB disk
        jobs    1 running, 2 failed

        """)
  }

  @Test func `an empty network says what to do first`() {
    var network = Samples.network
    network.nodes = [:]
    network.jobs = [:]
    let text = StatusRendering.text(network, now: 1000)
    #expect(text.contains("nodes   none; join one with `iorun join TICKET`"))
    #expect(text.contains("jobs    none; run one with `iorun submit -- COMMAND`"))
  }

  @Test func `outputs are listed by rank and path`() {
    #expect(
      OutputRendering.table(Samples.outputs).render(.plain)
        == "RANK   SIZE  PATH\n   0    5 B  a\n   1  2 KiB  b\n")
  }

  @Test func `the end of a job says how many files it left and how to fetch them`() {
    let job = Samples.job().id
    #expect(
      OutputRendering.summary(of: job, count: 3)
        == "outputs: 3 files; fetch them: iorun outputs \(job) --to DIR\n")
    #expect(OutputRendering.summary(of: job, count: 1).hasPrefix("outputs: 1 file; fetch it: "))
    #expect(
      OutputRendering.summary(of: job, count: 0) == "warning: no file matched the job's outputs\n")
    #expect(OutputRendering.summary(of: job, count: nil) == "outputs: iorun outputs \(job)\n")
  }

  @Test func `tickets say until when they are good`() {
    func expiry(_ expiresAt: Double, revoked: Bool) -> String {
      let ticket = TicketStatus(
        id: "t", role: .buyer, usesLeft: 1, expiresAt: expiresAt, isRevoked: revoked, label: "x")
      return TicketRendering.table([ticket], now: 1000).rows[0][4]
    }
    #expect(expiry(1090, revoked: false) == "in 1m 30s")
    #expect(expiry(900, revoked: false) == "expired")
    #expect(expiry(1090, revoked: true) == "revoked")
  }
}
