import Foundation
import IorunContract
import IorunCore
import Testing

@testable import IorunWorker

@Suite("Logs that a killed agent left")
struct LeftLogsTests {
  private let folder: TemporaryFolder
  private let head = FakeHead()
  private let lease = Sample.grant().id
  private let retry = Retry(
    pauses: .milliseconds(1) ... .milliseconds(5), clock: ContinuousClock())

  init() throws { folder = try TemporaryFolder() }

  private func leave(
    _ text: String, sent: Int64, start: Int64 = 0, in place: String = "leases/a",
    name: String = "log"
  ) throws {
    let path = folder.path + "/" + place
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    try LogMark(lease: lease, epoch: 3, start: start, sent: sent).write(beside: "\(path)/\(name)")
  }

  private let vault = "scratch/agent-1f/mount/logs"

  @Test("what a rank printed while the head was away is brought by the next agent, byte by byte")
  func agent() async throws {
    let stage = try Stage()
    let grant = Sample.grant("echo one; echo two >&2; sleep 600")
    _ = try await stage.prepare(grant)
    await stage.head.setAway(true)
    try await stage.start(grant)
    // Found as after `kill -9`: the agent knows nothing of it.
    let left = try await eventually("the rank's words are left") {
      let left = LeftLogs(stateFolder: stage.folder.path)
      return left.plain.first?.bytes == Array("one\ntwo\n".utf8) ? left : nil
    }
    #expect(left.sealed.isEmpty && left.plain.map(\.mark.lease) == [grant.id])
    let other = try TemporaryFolder()
    let kept = try left.keep(vaultLogs: nil, stateFolder: other.path)
    // One that is killed before it has brought them leaves them to the next.
    let again = LeftLogs(stateFolder: other.path)
    #expect(again.plain == left.plain)
    try await kept[0].bring(to: head, retry: retry)
    #expect(await head.log(grant.id) == "one\ntwo\n")
    #expect(LeftLogs(stateFolder: other.path).plain.isEmpty)
    #expect(try FileManager.default.contentsOfDirectory(atPath: other.path + "/left-logs").isEmpty)
    await stage.head.setAway(false)
    await stage.agent.shutDown()
  }

  @Test("only what the head has not is brought, at its place")
  func rest() async throws {
    try leave("abcdefgh", sent: 5, in: vault, name: "job-1-0")
    let left = LeftLogs(stateFolder: folder.path)
    #expect(left.plain.isEmpty && left.sealed.map(\.bytes) == [Array("fgh".utf8)])
    #expect(left.sealed.first?.mark.start == 5)
    _ = try await head.appendLog(lease, epoch: 3, offset: 0, bytes: Data("abcdef".utf8))
    let logs = folder.path + "/new"
    try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
    let kept = try left.keep(vaultLogs: logs, stateFolder: folder.path)
    try await kept[0].bring(to: head, retry: retry)
    #expect(await head.log(lease) == "abcdefgh")
  }

  @Test("what was in a vault is never written beside it")
  func secret() throws {
    try leave("secret", sent: 0, in: vault, name: "x")
    try leave("plain", sent: 0)
    let left = LeftLogs(stateFolder: folder.path)
    #expect(left.sealed.count == 1)
    let kept = try left.keep(vaultLogs: nil, stateFolder: folder.path)
    #expect(kept.map(\.length) == [5])
    #expect(folder.read("left-logs/left-0") == "plain")
  }

  @Test("of what is too long its begin and its end are kept, with a line that says so")
  func long() throws {
    let text = (0..<1000).map { "line \($0)\n" }.joined()
    try leave(text, sent: 0)
    let rest = try #require(LeftLogs(stateFolder: folder.path, room: 200).plain.first)
    let found = String(decoding: rest.bytes, as: UTF8.self)
    let lost = text.utf8.count - 200
    #expect(found.contains("[iorun] \(lost) bytes are lost here: the node's agent was killed\n"))
    #expect(found.hasPrefix("line 0\n") && found.hasSuffix("line 999\n"))
  }

  @Test("marks that cannot be right are left alone, and so is what is no file")
  func damaged() throws {
    try leave("a", sent: 5)
    try leave("b", sent: 3, start: 4, in: "leases/b")
    try leave("c", sent: -1, start: -1, in: "leases/c")
    try leave("d", sent: 0, in: "leases/d")
    try folder.write("{", to: "leases/d/log.mark")
    try leave("e", sent: 0, in: "leases/e")
    unlink(folder.path + "/leases/e/log")
    mkfifo(folder.path + "/leases/e/log", 0o600)
    try leave("f", sent: 0, in: "leases/f")
    unlink(folder.path + "/leases/f/log")
    symlink("/etc/passwd", folder.path + "/leases/f/log")
    let left = LeftLogs(stateFolder: folder.path)
    #expect(left.plain.isEmpty && left.sealed.isEmpty)
  }

  @Test("a head that wants bytes nobody has any more, or none of them, does not hold an agent up")
  func gap() async throws {
    try leave("abcdefgh", sent: 5)
    let left = LeftLogs(stateFolder: folder.path)
    let kept = try left.keep(vaultLogs: nil, stateFolder: folder.path)
    try await kept[0].bring(to: head, retry: retry)
    #expect(await head.log(lease).isEmpty)
    #expect(LeftLogs(stateFolder: folder.path + "/none").plain.isEmpty)
    #expect(folder.read("left-logs/left-0") == nil)
  }
}
