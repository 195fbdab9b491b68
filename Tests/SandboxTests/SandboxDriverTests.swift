import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct SandboxDriverTests {
  static let bwrap = SandboxLab.find("bwrap")
  static let runtimes = ["crun", "runc"].compactMap { SandboxLab.find($0) }
  static let strong = SandboxLab.find("runsc")
  static let isRoot = geteuid() == 0

  @Test(
    "bubblewrap passes its self-test", .enabled(if: bwrap != nil, "bwrap is missing: SKIPPED"))
  func bubblewrap() async throws {
    let lab = try SandboxLab("bwrap")
    defer { lab.remove() }
    let driver = BubblewrapDriver(program: try #require(Self.bwrap), host: lab.host)
    let report = await lab.selfTest.run(driver)
    #expect(report.faults == [:])
    #expect(
      report.isFitForStrangers == report.missingLimits.isDisjoint(with: [.memory, .processes]))
    if Self.isRoot { #expect(report.isFitForStrangers, "\(report)") }
  }

  @Test(
    "an OCI runtime of those installed passes its self-test",
    .enabled(if: isRoot && !runtimes.isEmpty, "crun and runc are missing, or root: SKIPPED"))
  func oci() async throws {
    let lab = try SandboxLab("oci")
    defer { lab.remove() }
    var reports: [SandboxReport] = []
    for runtime in Self.runtimes {
      reports.append(await lab.selfTest.run(OCIDriver(program: runtime, host: lab.host)))
    }
    #expect(reports.contains { $0.isFitForStrangers }, "\(reports)")
    // Nothing is left of any of them.
    let names = lab.host.groups.version1.values.flatMap {
      ControlGroup.subfolders($0 + "/" + lab.groupName)
    }
    #expect(names == [])
  }

  @Test(
    "gVisor is fit for strangers, or says what it lacks",
    .timeLimit(.minutes(2)),
    .enabled(if: isRoot && strong != nil, "runsc is missing, or root: SKIPPED"))
  func gVisor() async throws {
    let lab = try SandboxLab("strong")
    defer { lab.remove() }
    let driver = OCIDriver(program: try #require(Self.strong), host: lab.host)
    let report = await lab.selfTest.run(driver)
    print("runsc: \(report)")
    #expect(report.isFitForStrangers || !report.faults.isEmpty || !report.missingLimits.isEmpty)
  }

  @Test("without a driver strangers' work is refused, and one's own runs")
  func process() async throws {
    let lab = try SandboxLab("process")
    defer { lab.remove() }
    let driver = ProcessDriver(host: lab.host)
    var spec = SandboxSpec(
      name: "own", root: "/", command: ["/bin/sh", "-c", "kill -7 $$"],
      limits: SandboxLimits(memory: .mebi(256), milliCPUs: 1000))
    let capture = try SandboxCapture()
    let refusal = #expect(throws: IorunError.self) {
      try driver.launch(spec, streams: capture.streams)
    }
    #expect(refusal?.code == .sandboxUnavailable)
    spec.tenancy = .own
    let end = try await driver.launch(spec, streams: capture.streams).wait()
    #expect(end.cause == .signalled(signal: 7))
    #expect(!end.wasAsked)
  }

  @Test(
    "a program is asked to end, its leftovers are killed, and its end is told",
    .enabled(if: bwrap != nil && isRoot, "bwrap or root is missing: SKIPPED"))
  func terminate() async throws {
    let lab = try SandboxLab("term")
    defer { lab.remove() }
    let root = try HostRoot(at: lab.folder + "/root")
    let driver = BubblewrapDriver(program: try #require(Self.bwrap), host: lab.host)
    let capture = try SandboxCapture()
    let script = "trap 'exit 3' TERM; setsid sleep 1000 & echo ready; while :; do sleep 0.05; done"
    let process = try driver.launch(
      SandboxSpec(
        name: "term", root: root.folder, command: ["/bin/sh", "-c", script],
        limits: SandboxLimits(memory: .mebi(128), milliCPUs: 1000),
        environment: ["PATH": "/usr/bin:/bin"], binds: root.binds),
      streams: capture.streams)
    let deadline = ContinuousClock.now + .seconds(30)
    while try !capture.text(limit: 100).contains("ready"), ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(10))
    }
    process.terminate()
    let end = await process.wait()
    #expect(end.cause == .exited(status: 3))
    #expect(end.wasAsked)
    #expect(await process.wait() == end)
  }

  @Test("specs that no driver should take are refused")
  func validation() throws {
    let good = SandboxSpec(
      name: "a", root: "/r", command: ["/bin/true"],
      limits: SandboxLimits(memory: .mebi(64), milliCPUs: 100))
    try good.validate()
    let changes: [(inout SandboxSpec) -> Void] = [
      { $0.name = "" }, { $0.name = "../x" }, { $0.name = ".." }, { $0.name = "a/b" },
      { $0.command = [] }, { $0.command = ["true"] }, { $0.command.append("a\0b") },
      { $0.root = "r" }, { $0.root = "/a/../b" }, { $0.folder = "x" }, { $0.scratch = "x" },
      { $0.binds = [.init("/etc", at: "etc")] }, { $0.devices = ["/etc/passwd"] },
      { $0.devices = ["/dev/../etc/passwd"] }, { $0.environment = ["A=B": "c"] },
      { $0.environment = ["": "c"] }, { $0.limits.memory = .zero },
      { $0.limits.processes = 0 }, { $0.network = .host }, { $0.firstUser = 0 },
      { $0.firstUser = .max },
    ]
    for (index, change) in changes.enumerated() {
      var spec = good
      change(&spec)
      #expect(throws: IorunError.self, "\(index)") { try spec.validate() }
    }
  }
}
