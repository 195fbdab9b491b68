import Foundation
import Glibc
import IorunContent
import IorunContract
import IorunCore
import Testing

@testable import IorunWorker

@Suite("The node's agent", .timeLimit(.minutes(3)))
struct NodeAgentCoreTests {
  private let emptyBlob = Blob(size: .zero, chunks: [])

  private func code(_ body: () async throws -> Void) async -> IorunError.Code? {
    do {
      try await body()
      return nil
    } catch {
      return (error as? IorunError)?.code
    }
  }

  @Test("a rank runs in its staged folder; the head is told all it printed and how it ended")
  func conversation() async throws {
    let stage = try Stage()
    var grant = Sample.grant("cat input; echo $IORUN_IDENTITY; echo $RANK; exit 4")
    grant.workingFolder = emptyBlob
    let prepared = try await stage.prepare(grant)
    #expect(prepared.rendezvousPort > 0)
    #expect(await stage.agent.currentReports().map(\.state) == [.prepared])
    try await stage.start(grant)
    let end = try await stage.end(grant)
    #expect(end.cause == .exited(status: 4))
    #expect(end.lastLines == ["staged", "\(grant.id)", "0"])
    #expect(await stage.head.log(grant.id) == "staged\n\(grant.id)\n0\n")
    #expect(await stage.head.reports.allSatisfy { $0.executor == prepared.executor })
  }

  @Test("a running rank is told as running before its end")
  func running() async throws {
    let stage = try Stage()
    let grant = Sample.grant("while [ ! -e go ]; do sleep 0.01; done")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    try await eventually("running is told") { await stage.head.reports.last?.state == .running }
    #expect(await stage.agent.currentReports().map(\.state) == [.running])
    try stage.folder.write("", to: "leases/\(Sample.job)-1-0/work/go")
    #expect(try await stage.end(grant).cause.isSuccess)
    #expect(await stage.head.reports.count == 2)
  }

  @Test("forget removes the folder, gives back the identity and frees everything")
  func forget() async throws {
    let stage = try Stage()
    let grant = Sample.grant("mkdir locked; touch locked/file; chmod 000 locked")
    _ = try await stage.run(grant)
    try await stage.forget(grant)
    #expect(try stage.leaseFolders() == [])
    #expect(await stage.executors.released == [grant.id])
    #expect(await stage.agent.free == Sample.facts().capacity)
    #expect(await stage.agent.currentReports().isEmpty)
    try await stage.forget(grant)
  }

  @Test("forget of a running rank kills it first")
  func forgetRunning() async throws {
    let stage = try Stage()
    let grant = Sample.grant("trap '' TERM; echo $$ > pid; while :; do sleep 1; done")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    let pid: pid_t = try await eventually("the rank runs") {
      stage.workFile(grant, "pid").flatMap { pid_t($0.dropLast()) }
    }
    try await stage.forget(grant)
    #expect(!RealProcesses.isAlive(pid))
    #expect(await stage.agent.currentLeases().isEmpty)
  }

  @Test("outputs of a rank that ended well are collected, of one that failed not")
  func outputs() async throws {
    let stage = try Stage()
    var good = Sample.grant("echo model > model", rank: 0)
    good.spec.outputs = ["model"]
    let end = try await stage.run(good)
    #expect(end.cause.isSuccess)
    #expect(end.outputs?.count == 1 && end.outputs?.content.size == Bytes(6))
    var bad = Sample.grant("echo model > model; exit 1", rank: 1)
    bad.spec.outputs = ["model"]
    #expect(try await stage.run(bad).outputs == nil)
  }

  @Test("an end that the head never takes is told as a failure, not again and again")
  func refusedReport() async throws {
    let stage = try Stage()
    await stage.head.refuseOutputs()
    var grant = Sample.grant("echo model > model")
    grant.spec.outputs = ["model"]
    let end = try await stage.run(grant)
    #expect(end.cause == .exited(status: 74) && end.outputs == nil)
    #expect(end.lastLines.last?.contains("over the limit") == true)
    try await stage.forget(grant)
  }

  @Test("a rank whose outputs cannot be kept did not succeed, and says why")
  func lostOutputs() async throws {
    let stage = try Stage()
    var grant = Sample.grant("echo model > model")
    grant.spec.outputs = ["model"]
    await stage.content.fail(IorunError(.tooLarge, "the model is too large"))
    let end = try await stage.run(grant)
    #expect(end.cause == .exited(status: 74))
    #expect(end.lastLines.last?.contains("the model is too large") == true)
  }

  @Test("a command that does not exist is an end with its reason")
  func missingCommand() async throws {
    let stage = try Stage()
    var grant = Sample.grant()
    grant.spec.entrypoint = .command(["no-such-command"])
    guard case .notStarted(let reason) = try await stage.run(grant).cause else {
      Issue.record("it was started")
      return
    }
    #expect(reason.contains("'no-such-command' was not found on the node"))
  }

  @Test("a Swift target runs from bin in the working folder")
  func swiftTarget() async throws {
    let stage = try Stage()
    var grant = Sample.grant()
    grant.spec.entrypoint = .swift(target: "train", arguments: ["a b"])
    _ = try await stage.prepare(grant)
    let work = stage.folder.path + "/leases/\(Sample.job)-1-0/work"
    try stage.folder.write(
      "#!/bin/sh\necho \"$1\"\n", to: "leases/\(Sample.job)-1-0/work/bin/train")
    chmod(work + "/bin/train", 0o755)
    try await stage.start(grant)
    #expect(try await stage.end(grant).lastLines == ["a b"])
  }

  @Test("a supervisor that cannot be started is an end with its reason")
  func noSupervisor() async throws {
    let stage = try Stage(supervisor: "/no/such/iorun")
    guard case .notStarted(let reason) = try await stage.run(Sample.grant()).cause else {
      Issue.record("it was started")
      return
    }
    #expect(reason.contains("supervisor"))
  }

  @Test("stop ends a rank and its escaped grandchild with the given cause")
  func stop() async throws {
    let stage = try Stage()
    let grant = Sample.grant("\(RealProcesses.escape)\nwhile :; do sleep 1; done")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    let pid: pid_t = try await eventually("the grandchild runs") {
      stage.workFile(grant, "grandchild").flatMap { pid_t($0.dropLast()) }
    }
    try await stage.stop(grant, .cancelled)
    try await stage.stop(grant, .gangStopped)
    #expect(try await stage.end(grant).cause == .cancelled)
    #expect(!RealProcesses.isAlive(pid))
  }

  @Test("stop of a prepared lease is told as its end; of an unknown one it is no error")
  func stopPrepared() async throws {
    let stage = try Stage()
    let grant = Sample.grant()
    try await stage.stop(grant, .cancelled)
    _ = try await stage.prepare(grant)
    try await stage.stop(grant, .gangStopped)
    #expect(try await stage.end(grant).cause == .gangStopped)
    try await stage.start(grant)
    #expect(await stage.agent.currentReports().count == 1)
  }

  @Test("stop of a lease in preparation cancels it and gives everything back")
  func stopPreparing() async throws {
    let stage = try Stage()
    var grant = Sample.grant()
    grant.workingFolder = emptyBlob
    await stage.content.hang()
    let wanted = grant
    let prepared = Task { try await stage.prepare(wanted) }
    try await eventually("staging begins") { await stage.content.staging > 0 }
    try await stage.stop(grant, .cancelled)
    await #expect { try await prepared.value } throws: { ($0 as? IorunError)?.code == .cancelled }
    #expect(await stage.agent.currentLeases().isEmpty)
    #expect(await stage.executors.released == [grant.id])
  }

  @Test("an attempt that runs too long is stopped as timed out")
  func timeout() async throws {
    let stage = try Stage()
    var grant = Sample.grant("echo begun; while :; do sleep 1; done")
    grant.spec.timeoutSeconds = 0.3
    #expect(try await stage.run(grant).cause == .timedOut)
  }

  @Test("the same grant twice, at once or later, gives the same answer")
  func duplicate() async throws {
    let stage = try Stage()
    let grant = Sample.grant()
    async let first = stage.prepare(grant)
    async let second = stage.prepare(grant)
    let answers = try await [first, second, stage.prepare(grant)]
    #expect(Set(answers).count == 1)
    #expect(await stage.executors.acquired.count == 1)
  }

  @Test("a lease that is forgotten while it is being started leaves no process")
  func forgetStarting() async throws {
    for _ in 0..<10 {
      let stage = try Stage()
      let grant = Sample.grant("sleep 4242")
      _ = try await stage.prepare(grant)
      async let started: Void = stage.start(grant)
      try await stage.forget(grant)
      _ = try? await started
      #expect(await stage.agent.currentLeases().isEmpty)
      #expect(RealProcesses.running(below: stage.folder.path) == [])
    }
  }

  @Test("a second start changes nothing")
  func startTwice() async throws {
    let stage = try Stage()
    let grant = Sample.grant("echo once")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    try await stage.start(grant)
    #expect(try await stage.end(grant).lastLines == ["once"])
  }

  @Test("an older epoch is refused, a newer one replaces what the older one held")
  func epochs() async throws {
    let stage = try Stage()
    let old = Sample.grant(
      "echo $$ > pid; while :; do sleep 1; done", epoch: 5,
      resources: ResourceSet(milliCPUs: 4000))
    _ = try await stage.prepare(old)
    try await stage.start(old)
    let pid: pid_t = try await eventually("the rank runs") {
      stage.workFile(old, "pid").flatMap { pid_t($0.dropLast()) }
    }
    let older = Sample.grant(epoch: 4)
    #expect(await code { _ = try await stage.prepare(older) } == .wrongState)
    let newer = Sample.grant(attempt: 2, epoch: 6, resources: ResourceSet(milliCPUs: 4000))
    _ = try await stage.prepare(newer)
    #expect(!RealProcesses.isAlive(pid))
    #expect(await stage.agent.currentLeases() == [newer.id])
    #expect(await code { try await stage.start(old) } == .notFound)
  }

  @Test("a full disk while staging is a typed error that leaves nothing reserved")
  func diskFull() async throws {
    let stage = try Stage()
    var grant = Sample.grant()
    grant.workingFolder = emptyBlob
    await stage.content.fail(IorunError(.diskFull, "no room"))
    #expect(await code { _ = try await stage.prepare(grant) } == .diskFull)
    #expect(await stage.agent.free == Sample.facts().capacity)
    await stage.content.fail(nil)
    _ = try await stage.prepare(grant)
  }

  @Test("only the head may give orders")
  func callers() async throws {
    let stage = try Stage()
    let other = PeerID(high: 2, low: 2)
    #expect(
      await code { _ = try await stage.agent.prepare(Sample.grant(), caller: other) } == .notAllowed
    )
  }

  @Test("a head that is away for a while misses nothing, and one that lost bytes gets them again")
  func headAway() async throws {
    let stage = try Stage()
    // More than one chunk of the log.
    let grant = Sample.grant(
      "i=0; while [ $i -lt 20000 ]; do echo line number $i; i=$((i+1)); done")
    await stage.head.loseBytes(1000)
    _ = try await stage.prepare(grant)
    await stage.head.setAway(true)
    try await stage.start(grant)
    try await eventually("calls fail") { await stage.head.refusedCalls > 5 }
    await stage.head.setAway(false)
    #expect(try await stage.end(grant).cause.isSuccess)
    let expected = (0..<20000).map { "line number \($0)\n" }.joined()
    #expect(await stage.head.log(grant.id) == expected)
  }

  @Test("leftovers of a killed agent are removed")
  func leftovers() async throws {
    let stage = try Stage()
    try stage.folder.write("x", to: "leases/job-00000001-1-0/work/file")
    try await stage.agent.removeLeftovers()
    #expect(try stage.leaseFolders() == [])
  }

  @Test("shutting down leaves no process and no folder")
  func shutDown() async throws {
    let stage = try Stage()
    let grant = Sample.grant("echo $$ > pid; while :; do sleep 1; done")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    let pid: pid_t = try await eventually("the rank runs") {
      stage.workFile(grant, "pid").flatMap { pid_t($0.dropLast()) }
    }
    await stage.agent.shutDown()
    #expect(!RealProcesses.isAlive(pid))
    #expect(try stage.leaseFolders() == [])
  }
}
