import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("StatusBudget")
struct StatusBudgetTests {
  private func status(ranks: Int, command: Int = 4, failed: Int? = nil) -> JobStatus {
    var spec = JobSpec.sample(ranks: ranks)
    spec.entrypoint = .command([String(repeating: "x", count: command)])
    let all = (0..<ranks).map { rank in
      RankStatus(
        rank: rank, node: .sample(rank), nodeName: "node", state: .ended,
        cause: .exited(status: rank == failed ? 1 : 0), lastLines: rank == failed ? ["bad"] : [])
    }
    return JobStatus(
      id: .sample, spec: spec, owner: .sample(1), state: .failed, attempt: 1, ranks: all,
      submittedAt: 1, revision: 1)
  }

  @Test("a very large gang still names the rank that failed")
  func largeGang() {
    let trimmed = StatusBudget.trimmed(status(ranks: 4096, failed: 4000))
    #expect(trimmed.ranks.count == 2000)
    #expect(trimmed.ranks.last?.rank == 4000 && trimmed.ranks.last?.lastLines == ["bad"])
  }

  @Test("a list of large jobs is cut before it exceeds a message")
  func longList() {
    let list = StatusBudget.list(Array(repeating: status(ranks: 2, command: 60_000), count: 100))
    #expect(list.count == 10)
    #expect(StatusBudget.list([status(ranks: 2, command: 5_000_000)]).count == 1)
  }
}
