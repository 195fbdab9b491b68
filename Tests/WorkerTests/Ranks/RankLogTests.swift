import Foundation
import IorunCore
import Testing

@testable import IorunWorker

@Suite("Rank logs")
struct RankLogTests {
  private let folder: TemporaryFolder
  private let log: RankLog

  init() throws {
    folder = try TemporaryFolder()
    log = try RankLog(
      file: folder.path + "/log", cap: RankLog.Cap(size: Bytes(10), setting: "`--log-limit`"))
  }

  private func append(_ text: String) { Array(text.utf8).withUnsafeBytes { log.append($0) } }

  private var text: String { folder.read("log") ?? "" }

  @Test("a log within its cap is kept whole")
  func whole() {
    append("12345")
    append("6789\n")
    #expect(text == "123456789\n")
  }

  @Test("a log beyond its cap ends with one line that says so and where the cap is set")
  func cut() {
    append("123456789abc")
    append("more")
    let line = "[iorun] the log was cut here at 10 B; `--log-limit` sets the limit"
    #expect(text == "123456789a\n\(line)\n")
    #expect(log.length == Int64(text.utf8.count))
  }

  @Test("the end of a log beyond its cap follows, with how much is left out before it")
  func end() throws {
    let log = try RankLog(
      file: folder.path + "/long", cap: RankLog.Cap(size: Bytes(10), setting: "x", end: 40))
    func append(_ text: String) { Array(text.utf8).withUnsafeBytes { log.append($0) } }
    for number in 1...1000 { append("line \(number)\n") }
    let cut = log.length
    log.note("it met a limit")
    // A reader has what is before, and goes on from there.
    #expect(log.length == cut)
    log.finish()
    let all = try log.read(from: 0, atMost: 4096)
    let text = String(decoding: all, as: UTF8.self)
    let lost = (1...999).map { "line \($0)\n".utf8.count }.reduce(0, +) - 10
    #expect(
      text == """
        line 1
        lin
        [iorun] the log was cut here at 10 B; x sets the limit
        [iorun] \(lost) bytes are left out here; these are the last:
        line 1000
        [iorun] it met a limit

        """)
    #expect(try log.read(from: cut, atMost: 4096) == all.dropFirst(Int(cut)))
    #expect(log.length == Int64(all.count))
    #expect(log.lastLines(2) == ["line 1000", "[iorun] it met a limit"])
  }

  @Test("bytes are read from any place, and none beyond the end")
  func read() throws {
    append("123456789")
    #expect(try log.read(from: 3, atMost: 4) == Data("4567".utf8))
    #expect(try log.read(from: 8, atMost: 4) == Data("9".utf8))
    #expect(try log.read(from: 9, atMost: 4).isEmpty)
    #expect(try log.read(from: 100, atMost: 4).isEmpty)
  }

  @Test("the last lines are those before the end, with or without a final line break")
  func lastLines() {
    append("a\nb\n\nc")
    #expect(log.lastLines(3) == ["b", "", "c"])
    append("\n")
    #expect(log.lastLines(2) == ["", "c"])
  }

  @Test("growth is signalled, and ends when the log is finished")
  func growth() async {
    append("a")
    append("b")
    log.finish()
    var signals = 0
    for await _ in log.growth { signals += 1 }
    #expect(signals == 1)
    #expect(log.isFinished)
  }

  @Test("a log that cannot be written says so in its last line")
  func full() throws {
    // /dev/full takes every open and refuses every write with ENOSPC.
    let log = try RankLog(file: "/dev/full")
    Array("text".utf8).withUnsafeBytes { log.append($0) }
    #expect(log.lastLines(1).first?.contains("No space left on device") == true)
  }
}
