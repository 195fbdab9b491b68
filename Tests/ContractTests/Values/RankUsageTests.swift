import Foundation
import IorunCore
import Testing

@testable import IorunContract

/// What ranks used, between versions of iorun.
@Suite struct RankUsageTests {
  private let usage = RankUsage(
    peakMemory: .mebi(64), outOfMemoryKills: 1, refusedProcesses: 0, throttledMilliseconds: 1500,
    limitsHit: ["cpu", "memory"])

  private var report: LeaseReport {
    get throws {
      LeaseReport(
        id: LeaseID(job: try #require(JobID("job-7k3f9q2m")), attempt: 1, rank: 0), epoch: 3,
        executor: PeerID(high: 1, low: 2),
        state: .ended(.signalled(signal: 9), outputs: nil, lastLines: ["last"]), usage: usage)
    }
  }

  @Test func `a report of an older node has none, and an older head reads a newer one's`() throws {
    let bytes = try JSONEncoder().encode(report)
    #expect(try JSONDecoder().decode(LeaseReport.self, from: bytes) == report)
    var object = try #require(
      try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    object["usage"] = nil
    var older = try report
    older.usage = nil
    let cut = try JSONSerialization.data(withJSONObject: object)
    #expect(try JSONDecoder().decode(LeaseReport.self, from: cut) == older)
    // What the version before knows of a report, in its own words.
    struct Before: Decodable {
      var id: LeaseID
      var epoch: Int64
      var executor: PeerID
      var state: LeaseReport.State
    }
    #expect(try JSONDecoder().decode(Before.self, from: bytes).state == report.state)
  }

  @Test func `limits that a later version names pass, impossible figures do not`() {
    #expect(usage.isSound && RankUsage(limitsHit: ["bandwidth"]).isSound)
    #expect(!RankUsage(outOfMemoryKills: -1).isSound)
    #expect(!RankUsage(throttledMilliseconds: .min).isSound)
    #expect(!RankUsage(limitsHit: [String(repeating: "x", count: 17)]).isSound)
    #expect(!RankUsage(limitsHit: Array(repeating: "x", count: 17)).isSound)
  }
}
