import Foundation
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

  @Test("an answer about a job fits a message, whatever its spec and its nodes say")
  func hostileJob() throws {
    var status = status(ranks: 4096, command: 60_000)
    let text = String(repeating: "x", count: 500)
    status.reason = text + text
    status.spec.environment = ["A": String(repeating: "x", count: 64_000)]
    status.spec.outputs = Array(repeating: String(repeating: "x", count: 1024), count: 256)
    for index in status.ranks.indices {
      status.ranks[index].cause =
        index % 2 == 0 ? .notStarted(reason: text) : .nodeLost(reason: text)
      status.ranks[index].lastLines = Array(repeating: String(text.prefix(400)), count: 50)
    }
    let trimmed = StatusBudget.trimmed(status)
    #expect(try JSONEncoder().encode(trimmed).count < 1 << 20)
    #expect(trimmed.ranks.count > 50 && trimmed.ranks.first?.lastLines.count == 50)
    let list = StatusBudget.list(Array(repeating: trimmed, count: 100))
    #expect(try JSONEncoder().encode(list).count < 1 << 20)
    var small = status
    small.ranks = Array(trimmed.ranks.prefix(64))
    let many = StatusBudget.list(Array(repeating: small, count: 100))
    #expect(try JSONEncoder().encode(many).count < 1 << 20)
  }

  @Test("a text is cut between two characters of its encoding, never in one")
  func cut() {
    #expect("aé€😀".prefix(utf8: 9) == "aé€")
    #expect("aé€😀".prefix(utf8: 10) == "aé€😀")
    #expect("aé€😀".prefix(utf8: 2) == "a" && "é".prefix(utf8: 1) == "" && "".prefix(utf8: 3) == "")
  }

  @Test("a list of large jobs is cut before it exceeds a message")
  func longList() {
    let list = StatusBudget.list(Array(repeating: status(ranks: 2, command: 60_000), count: 100))
    #expect(list.count == 10)
    #expect(StatusBudget.list([status(ranks: 2, command: 5_000_000)]).count == 1)
  }
}
