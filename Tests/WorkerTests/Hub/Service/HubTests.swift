import Foundation
import Glibc
import IorunCore
import IorunWire
import Testing

@testable import IorunWorker

@Suite("Hub", .serialized) struct HubTests {
  private func code(_ body: () async throws -> Void) async -> String? {
    do {
      try await body()
      return nil
    } catch let refusal as ScriptedProcess.Refusal {
      return refusal.code
    } catch {
      return String(describing: error)
    }
  }

  @Test func aLeaseIsGrantedOnAForkedWorkerAndGoesBackToAnother() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    // One worker is made ready ahead, for one core.
    let worker = try await stage.fork(by: zygote)
    let wish = #"{"resources":{"CPU":1},"strategy":"DEFAULT"}"#
    let first = driver.ask(.lease, wish)
    let second = driver.ask(.lease, wish)
    let lease = try await driver.answer(first)
    #expect(lease["worker"] as? String == worker.worker.description)
    #expect(lease["node"] as? String == stage.node.description)
    driver.note(
      .leaseReturn, #"{"lease":\#(lease["lease"] ?? 0),"node":"\#(stage.node)","broken":false}"#)
    #expect(try await driver.answer(second)["worker"] as? String == worker.worker.description)
    await stage.stop()
  }

  @Test func aSilentHeadEndsTheWorkersOfOtherNodesDriversAndNoOthers() async throws {
    let stage = try await HubStage(resources: ["CPU": 4])
    let driver = try await stage.driver()
    let own = try await stage.fork(by: try await stage.zygote())
    let job = JobID("job-7k3f9q2m")
    let launcher = RuntimeJob.Launcher(
      argv: ["/bin/sh", "-c", "echo $$ > \(stage.folder.path)/far; exec sleep 600"],
      environment: [:], cwd: "/", kind: .program)
    func pid() async throws -> pid_t {
      let pid: pid_t = try await eventually("the worker runs") {
        stage.folder.read("far").flatMap { $0.hasSuffix("\n") ? pid_t($0.dropLast()) : nil }
      }
      try FileManager.default.removeItem(atPath: stage.folder.path + "/far")
      return pid
    }
    let lease = try await driver.request(.lease, #"{"resources":{"CPU":1}}"#)
    #expect(lease["worker"] as? String == own.worker.description)
    let first = stage.lease(foreign: try #require(job), launcher: launcher)
    let old = try await pid()
    #expect(RealProcesses.isAlive(old))
    stage.fence()
    try await eventually("the worker has ended") { !RealProcesses.isAlive(old) }
    await #expect(throws: (any Error).self) { try await first.value }
    // The job is not over: a head that is back gives it workers here again.
    let second = stage.lease(foreign: try #require(job), launcher: launcher)
    #expect(RealProcesses.isAlive(try await pid()))
    await stage.stop()
    _ = await second.result
  }

  @Test func aBlockedWorkerLendsItsCore() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let worker = try await stage.fork(by: zygote)
    let wish = #"{"resources":{"CPU":1}}"#
    _ = try await driver.request(.lease, wish)
    let second = driver.ask(.lease, wish)
    worker.note(.blocked, "{}")
    let other = try await stage.fork(by: zygote)
    #expect(try await driver.answer(second)["worker"] as? String == other.worker.description)
    await stage.stop()
  }

  @Test func whoWaitsMakesTheHubRecallAndMayTakeTheRequestBack() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    _ = try await stage.fork(by: zygote)
    let wish = #"{"resources":{"CPU":1}}"#
    _ = try await driver.request(.lease, wish)
    let second = driver.ask(.lease, wish)
    #expect(try await driver.event(.recall)["own"] as? Bool == true)
    driver.note(.leaseCancel, #"{"number":\#(second)}"#)
    #expect(await code { _ = try await driver.answer(second) } == "IOR-1204")
    await stage.stop()
  }

  @Test func parcelsCarryTheirTrueSource() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let worker = try await stage.fork(by: zygote)
    // Whatever a process writes there is the destination; the source is the hub's to write.
    driver.send(.relay, body: stage.node.bytes + worker.worker.bytes + [1, 2, 3])
    let (node, source, frames) = try await worker.parcel()
    #expect(node == stage.node && source == driver.worker && frames == [1, 2, 3])
    await stage.stop()
  }

  @Test func aLostWorkerIsToldWithItsCause() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let worker = try await stage.fork(by: zygote)
    zygote.note(
      .exited,
      #"{"worker":"\#(worker.worker)","pid":1,"signal":9,"maxResidentBytes":10,"lastLines":["x"]}"#)
    let lost = try await driver.event(.peerLost)
    let cause = lost["cause"] as? [String: Any]
    let detail = cause?["detail"] as? [String: Any]
    #expect(lost["worker"] as? String == worker.worker.description)
    #expect(cause?["code"] as? String == "IOR-1504")
    #expect(detail?["signalName"] as? String == "SIGKILL")
    // And whoever writes to it later hears the same.
    driver.send(.relay, body: stage.node.bytes + worker.worker.bytes + [1])
    #expect(try await driver.event(.peerLost)["worker"] as? String == worker.worker.description)
    await stage.stop()
  }

  @Test func objectsGoFromOneProcessToAnother() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let worker = try await stage.fork(by: zygote)
    let object = ObjectID(owner: driver.worker, counter: 1, index: 0)
    let room = try await driver.request(.alloc, #"{"object":"\#(object)","size":10000}"#)
    // Asked for before it is sealed, it is answered once it is.
    let pin = worker.ask(.pin, #"{"object":"\#(object)","locations":[],"size":10000}"#)
    driver.note(.seal, #"{"object":"\#(object)","size":10000}"#)
    #expect(try await worker.answer(pin)["offset"] as? Int == room["offset"] as? Int)
    let huge =
      #"{"object":"\#(ObjectID(owner: driver.worker, counter: 2, index: 0))","size":99999999}"#
    #expect(await code { _ = try await driver.request(.alloc, huge) } == "IOR-1501")
    let unknown = ObjectID(owner: driver.worker, counter: 3, index: 0)
    #expect(
      await code {
        _ = try await driver.request(.pin, #"{"object":"\#(unknown)","locations":[],"size":1}"#)
      }
        == "IOR-1502")
    await stage.stop()
  }

  @Test func anActorIsAssignedAndItsDeathReported() async throws {
    let stage = try await HubStage(resources: ["CPU": 2])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let actor = String(repeating: "ab", count: 16)
    let status = try await driver.request(
      .actorCreate,
      #"{"actor":"\#(actor)","className":"A","resources":{},"placement":{"CPU":1},"maxRestarts":0}"#,
      blob: [7])
    #expect(status["worker"] as? String == actor)
    var worker = try await stage.fork(by: zygote)
    while worker.worker.description != actor { worker = try await stage.fork(by: zygote) }
    // A call may be sent before the process is there.
    #expect(try await worker.event(.assign)["actor"] as? String == actor)
    worker.note(.actorReady, #"{"actor":"\#(actor)","failed":false}"#)
    #expect(try await driver.event(.actor)["state"] as? String == "ALIVE")
    _ = try await driver.request(.actorKill, #"{"actor":"\#(actor)","noRestart":true}"#)
    #expect(try await driver.event(.actor)["state"] as? String == "DEAD")
    await stage.stop()
  }

  @Test func theEndOfADriverIsTheEndOfItsJob() async throws {
    let stage = try await HubStage(resources: ["CPU": 1])
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    let worker = try await stage.fork(by: zygote)
    driver.hangUp()
    #expect(await worker.isClosed())
    #expect(await zygote.isClosed())
    let job = try #require(JobID(driver.job))
    _ = try await eventually("the head hears of it") {
      stage.cluster.state.withLock { $0.closed.contains(job) } ? true : nil
    }
    let again = try stage.connect()
    let refused = await code {
      _ = try await again.request(
        .hello,
        #"{"protocol":1,"role":"zygote","job":"\#(driver.job)","token":"\#(zygote.token)"}"#)
    }
    #expect(refused == "IOR-1005")
    await stage.stop()
  }

  @Test func aWorkerEndsBeforeTheMachineHasNoMemoryLeft() async throws {
    let other = Process()
    other.executableURL = URL(fileURLWithPath: "/bin/sleep")
    other.arguments = ["600"]
    try other.run()
    defer { other.terminate() }
    let pid = other.processIdentifier
    let stage = try await HubStage(resources: ["CPU": 1]) { file in
      switch file {
      case "/proc/meminfo": "MemTotal: 1000000 kB\nMemAvailable: 10000 kB\n"
      case "/proc/\(pid)/statm": "500000 400000 0\n"
      default: nil
      }
    }
    let driver = try await stage.driver()
    let zygote = try await stage.zygote()
    // Forked as somebody else: a scripted process is the test itself.
    let order = try await zygote.event(.fork)
    let worker = order["worker"] as? String ?? ""
    zygote.note(.forked, #"{"worker":"\#(worker)","pid":\#(pid)}"#)
    let process = try stage.connect()
    _ = try await process.request(
      .hello,
      """
      {"protocol":1,"role":"worker","worker":"\(worker)","job":"\(zygote.job)",
       "token":"\(zygote.token)","pid":1}
      """)
    _ = try await driver.request(.lease, #"{"resources":{"CPU":1}}"#)
    let lost = try await driver.event(.peerLost)
    #expect(lost["worker"] as? String == worker)
    let cause = lost["cause"] as? [String: Any]
    #expect((cause?["detail"] as? [String: Any])?["outOfMemory"] as? Bool == true)
    let message = cause?["message"] as? String ?? ""
    #expect(message.contains("This process had 1.53GB."))
    #expect(message.contains("exceeded threshold of 972800000B (95.0% of 1024000000B limit)"))
    // What the worker has started is to end, too.
    #expect(try await zygote.event(.condemned)["worker"] as? String == worker)
    other.waitUntilExit()
    #expect(other.terminationStatus == SIGKILL)
    await stage.stop()
  }
}
