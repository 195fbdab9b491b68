import IorunClient
import IorunCore
import Testing

@Suite("Ranks, places and ports as people write them")
struct RankReferenceTests {
  @Test("a job means its rank 0, a number behind a colon another one")
  func ranks() throws {
    #expect(try RankReference("train") == RankReference(job: "train", rank: 0))
    #expect(try RankReference("job-7k3f9q2m:12") == RankReference(job: "job-7k3f9q2m", rank: 12))
    #expect(try RankReference("a:b:3") == RankReference(job: "a:b", rank: 3))
    for text in ["train:", "train:x", "train:-1", ":1", "train:9999999"] {
      #expect(throws: IorunError.self, "\(text)") { try RankReference(text) }
    }
  }

  @Test("a colon before any slash begins a path in a rank")
  func places() throws {
    #expect(try CopyPlace("data/x") == .local("data/x"))
    #expect(try CopyPlace("./a:b") == .local("./a:b"))
    #expect(try CopyPlace("/tmp/a:b") == .local("/tmp/a:b"))
    let rank = RankReference(job: "train", rank: 0)
    #expect(try CopyPlace("train:") == .rank(rank, path: ""))
    #expect(try CopyPlace("train:.") == .rank(rank, path: ""))
    #expect(try CopyPlace("train:./a/b") == .rank(rank, path: "a/b"))
    #expect(try CopyPlace("train:a:b") == .rank(rank, path: "a:b"))
    #expect(
      try CopyPlace("train:3:a/b") == .rank(RankReference(job: "train", rank: 3), path: "a/b"))
    for text in ["train:/etc/passwd", "train:0:/x", "train:99999:x"] {
      #expect(throws: IorunError.self, "\(text)") { try CopyPlace(text) }
    }
  }

  @Test("a port leads to the same one, or to another")
  func ports() throws {
    #expect(try PortForwarding.Pair("8888").local == 8888)
    #expect(try PortForwarding.Pair("8888").remote == 8888)
    #expect(try PortForwarding.Pair("0:80").local == 0)
    #expect(try PortForwarding.Pair("9000:80").remote == 80)
    for text in ["", "x", "0", "80:0", "1:2:3", "70000", "-1", "80:"] {
      #expect(throws: IorunError.self, "\(text)") { try PortForwarding.Pair(text) }
    }
  }
}
