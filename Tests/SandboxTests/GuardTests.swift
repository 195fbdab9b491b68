import Foundation
import IorunCore
import SandboxSupport
import Synchronization
import Testing

@testable import IorunSandbox

@Suite struct GuardPolicyTests {
  private let classifier = ProcessClassifier(
    hostNamespaces: ["pid": "pid:[1]", "mnt": "mnt:[1]", "user": "user:[1]", "net": "net:[1]"],
    groupName: "iorun")

  private func facts(
    _ program: String = "/usr/bin/python3", pid: Int32 = 500, groups: String = "0::/user.slice",
    namespaces: [String: String] = ["pid": "pid:[1]", "mnt": "mnt:[1]"],
    devices: Set<String> = []
  ) -> ProcessFacts {
    ProcessFacts(
      pid: pid, parent: 2, program: program, groups: groups, namespaces: namespaces,
      devices: devices)
  }

  @Test("processes are told apart")
  func classes() {
    let other = ["pid": "pid:[2]", "mnt": "mnt:[2]"]
    func kind(_ facts: ProcessFacts) -> ProcessClass {
      classifier.classify(facts, leases: ["lease-1"])
    }
    #expect(kind(facts()) == .host)
    #expect(kind(facts(groups: "0::/iorun/lease-1/box", namespaces: other)) == .ours)
    // A path that anybody can make proves nothing.
    #expect(kind(facts(groups: "0::/iorun/lease-2/box", namespaces: other)) == .container)
    #expect(kind(facts(groups: "0::/system.slice/docker-abc.scope")) == .container)
    #expect(kind(facts(groups: "4:memory:/docker/abc\n0::/")) == .container)
    #expect(kind(facts("/usr/bin/runc")) == .runtime)
    #expect(kind(facts("/usr/bin/containerd-shim-runc-v2")) == .runtime)
    #expect(kind(facts(namespaces: other)) == .container)
    // A browser, and a service with mounts of its own.
    #expect(kind(facts(namespaces: ["pid": "pid:[2]", "mnt": "mnt:[1]"])) == .host)
    #expect(kind(facts(namespaces: ["pid": "pid:[1]", "mnt": "mnt:[2]"])) == .host)
    #expect(kind(facts(namespaces: [:])) == .host)
  }

  @Test("a shared machine's containers are reported, and stopped only on a leased device")
  func shared() {
    var ledger = GuardLedger(GuardPolicy(mode: .shared), untouchable: [9])
    #expect(ledger.decide(facts(), .host, now: .zero) == .ignore)
    #expect(ledger.decide(facts(), .ours, now: .zero) == .ignore)
    #expect(
      ledger.decide(facts(), .container, now: .zero) == .report(reason: "the machine is shared"))
    let onDevice = facts(devices: ["/dev/nvidia0"])
    #expect(ledger.decide(onDevice, .host, now: .zero) == .stop)
    #expect(ledger.decide(onDevice, .ours, now: .zero) == .ignore)
  }

  @Test("an exclusive machine's containers are stopped, but not what is allowed or never touched")
  func exclusive() {
    let policy = GuardPolicy(
      mode: .exclusive, allowedGroups: ["/system.slice/backup.service"],
      allowedPrograms: ["/opt/monitor"])
    var ledger = GuardLedger(policy, untouchable: [9])
    func decide(_ facts: ProcessFacts) -> GuardDecision {
      ledger.decide(facts, .container, now: .zero)
    }
    #expect(decide(facts()) == .stop)
    #expect(decide(facts("/opt/monitor")) == .ignore)
    #expect(decide(facts(groups: "0::/system.slice/backup.service/x")) == .ignore)
    for touched in [
      facts(pid: 1), facts(pid: 9), facts("/usr/sbin/sshd"),
      facts("/usr/bin/nvidia-persistenced", devices: ["/dev/nvidia0"]),
      facts(groups: "0::/user.slice/user-1000.slice/session-3.scope"),
    ] {
      #expect(decide(touched) != .stop)
      #expect(decide(touched) != .ignore)
    }
    #expect(decide(facts("/usr/sbin/sshd", groups: "0::/docker/abc")) == .stop)
  }

  @Test(
    "a desktop's applications are spared, sandboxes of their own as they are; a user's containers not",
    arguments: [
      (
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.x-12.scope",
        true
      ),
      ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/firefox.service", true),
      ("0::/user.slice/user-1000.slice/user@1000.service/session.slice/gvfs.service", true),
      ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-1a.scope", false),
      (
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/libpod-1a.scope/container",
        false
      ),
      ("0::/system.slice/docker-1a.scope/app.slice/x", false), ("0::/app.slice/x", false),
    ])
  func desktop(groups: String, isSpared: Bool) {
    var ledger = GuardLedger(GuardPolicy(mode: .exclusive), untouchable: [])
    let decision = ledger.decide(facts(groups: groups), .container, now: .zero)
    #expect((decision != .stop) == isSpared, "\(decision)")
  }

  @Test("a root of layers is a container's, but not where the machine's own is one")
  func overlay() {
    let host = ["pid": "1", "mnt": "2", "user": "3", "net": "4"]
    var facts = ProcessFacts(pid: 7, parent: 1, program: "/x", namespaces: host)
    var classifier = ProcessClassifier(hostNamespaces: host, groupName: "g")
    facts.namespaces["mnt"] = "5"
    #expect(classifier.classify(facts, leases: []) == .host, "a service with mounts of its own")
    facts.hasOverlayRoot = true
    #expect(classifier.classify(facts, leases: []) == .container, "docker run --pid=host")
    classifier.hasOverlayRoot = true
    #expect(classifier.classify(facts, leases: []) == .host)
  }

  @Test("no more are stopped within a minute than the policy says, and none in a dry run")
  func limits() {
    var ledger = GuardLedger(
      GuardPolicy(mode: .exclusive, stopsPerMinute: 2), untouchable: [])
    let decisions = (0..<4).map {
      ledger.decide(facts(pid: 100 + $0), .container, now: .seconds(Int($0)))
    }
    #expect(decisions.count { $0 == .stop } == 2)
    #expect(decisions.last == .report(reason: GuardLedger.tooMany))
    #expect(ledger.decide(facts(), .container, now: .seconds(62)) == .stop)
    var dry = GuardLedger(GuardPolicy(mode: .exclusive, isDryRun: true), untouchable: [])
    #expect(dry.decide(facts(), .container, now: .zero) != .stop)
  }
}

/// The guard itself, with real containers. Its scope is a control group that the test made, so that
/// it cannot touch anything else on the machine.
@Suite(.serialized) struct ContainerGuardTests {
  static let canRun = geteuid() == 0 && SandboxLab.find("bwrap") != nil
  static let reason = "root or bwrap is missing: SKIPPED"

  final class Incidents: Sendable {
    private let list = Mutex<[(GuardIncident, ContinuousClock.Instant)]>([])
    func add(_ incident: GuardIncident) { list.withLock { $0.append((incident, .now)) } }
    var all: [GuardIncident] { list.withLock { $0.map(\.0) } }
    var firstTime: ContinuousClock.Instant? { list.withLock { $0.first?.1 } }
  }

  private func waitUntil(_ holds: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while !holds(), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
    #expect(holds())
  }

  private func start(_ arguments: [String], in group: ControlGroup) throws -> SandboxProcess {
    let capture = try SandboxCapture()
    let pid = try SandboxLaunch(
      path: arguments[0], arguments: arguments, environment: ["PATH": "/usr/bin:/bin"],
      streams: capture.streams, group: group, outOfMemoryScore: 0
    ).start()
    return SandboxProcess(pid: pid, group: nil)
  }

  private func foreign() -> [String] {
    [
      SandboxLab.find("bwrap") ?? "", "--ro-bind", "/", "/", "--unshare-pid", "--dev", "/dev",
      "--proc", "/proc", "/bin/sleep", "1000",
    ]
  }

  @Test(
    "a foreign container is stopped at once; ours and the host's own processes run on",
    .enabled(if: canRun, "\(reason)"))
  func exclusive() async throws {
    let lab = try SandboxLab("guard")
    defer { lab.remove() }
    let limits = SandboxLimits(memory: .mebi(256), milliCPUs: 1000)
    let neighbourhood = try ControlGroup(
      lab.host.groups, parent: lab.groupName, name: "neighbourhood", limits: limits)
    let host = try start(["/bin/sleep", "1000"], in: neighbourhood)
    let root = try HostRoot(at: lab.folder + "/root")
    let driver = BubblewrapDriver(program: try #require(SandboxLab.find("bwrap")), host: lab.host)
    let capture = try SandboxCapture()
    let ours = try driver.launch(
      SandboxSpec(
        name: "lease-1", root: root.folder, command: ["/bin/sleep", "1000"], limits: limits,
        binds: root.binds), streams: capture.streams)
    let incidents = Incidents()
    let watch = ContainerGuard(
      GuardPolicy(mode: .exclusive, grace: .milliseconds(50)), scope: .group(lab.groupName),
      groupName: lab.groupName, scanInterval: .milliseconds(500), leases: { ["lease-1"] },
      report: { incidents.add($0) })
    let began = ContinuousClock.now
    let intruder = try start(foreign(), in: neighbourhood)
    let end = await intruder.wait()
    #expect(end.cause == .signalled(signal: SIGKILL))
    try await waitUntil { neighbourhood.members() == [host.pid] }
    #expect(incidents.all.contains { $0.decision == .stop && $0.facts.program.hasSuffix("/bwrap") })
    #expect(incidents.all.allSatisfy { $0.facts.pid != host.pid && $0.facts.pid != ours.pid })
    if let first = incidents.firstTime {
      print("guard: seen \(first - began) after its start was begun; events: \(watch.hasEvents)")
    }
    await watch.stop()
    host.kill()
    #expect(await host.wait().wasAsked)
    #expect(ours.missingLimits.isSubset(of: [.cpu]))
    #expect(ControlGroup.ownNames(parent: lab.groupName).contains("lease-1"))
    ours.kill()
    #expect(await ours.wait().wasAsked)
    #expect(!ControlGroup.ownNames(parent: lab.groupName).contains("lease-1"))
  }

  @Test(
    "an OCI runtime's container is stopped as well", .enabled(if: canRun, "\(reason)"),
    arguments: ["crun", "runc"].filter { SandboxLab.find($0) != nil })
  func runtime(name: String) async throws {
    let lab = try SandboxLab("guard-oci")
    defer { lab.remove() }
    let neighbours = try SandboxLab("guard-others")
    defer { neighbours.remove() }
    let driver = OCIDriver(program: try #require(SandboxLab.find(name)), host: neighbours.host)
    guard await neighbours.selfTest.run(driver).isFitForStrangers else {
      print("\(name) does not run here: SKIPPED")
      return
    }
    let incidents = Incidents()
    let watch = ContainerGuard(
      GuardPolicy(mode: .exclusive, grace: .milliseconds(20)),
      scope: .group(neighbours.groupName), groupName: lab.groupName,
      scanInterval: .milliseconds(200), leases: { [] }, report: { incidents.add($0) })
    let root = try HostRoot(at: neighbours.folder + "/root")
    let capture = try SandboxCapture()
    let foreign = try await Blocking.run {
      try driver.launch(
        SandboxSpec(
          name: "foreign", root: root.folder, command: ["/bin/sleep", "1000"],
          limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000), binds: root.binds),
        streams: capture.streams)
    }
    let watchdog = Task {
      try await Task.sleep(for: .seconds(60))
      foreign.kill()
    }
    let end = await foreign.wait()
    watchdog.cancel()
    #expect(!end.wasAsked, "the guard ended it: \(end)")
    #expect(incidents.all.contains { $0.decision == .stop })
    await watch.stop()
  }

  @Test(
    "whoever computes on a leased GPU is stopped, though no container and without its file open",
    .enabled(if: canRun, "\(reason)"))
  func computing() async throws {
    let lab = try SandboxLab("guard-gpu")
    defer { lab.remove() }
    let group = try ControlGroup(
      lab.host.groups, parent: lab.groupName, name: "neighbourhood",
      limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000))
    let user = try start(["/bin/sleep", "1000"], in: group)
    let other = try start(["/bin/sleep", "1000"], in: group)
    let incidents = Incidents()
    let watch = ContainerGuard(
      GuardPolicy(mode: .shared, grace: .milliseconds(20)), scope: .group(lab.groupName),
      groupName: lab.groupName, scanInterval: .milliseconds(100), leases: { [] },
      devices: { ["/dev/nvidia0"] },
      deviceUsers: { [user.pid: ["/dev/nvidia0"], other.pid: ["/dev/nvidia1"]] },
      report: { incidents.add($0) })
    let end = await user.wait()
    #expect(end.cause == .signalled(signal: SIGKILL) && !end.wasAsked)
    #expect(incidents.all.allSatisfy { $0.facts.pid == user.pid })
    #expect(incidents.all.first?.facts.devices == ["/dev/nvidia0"])
    await watch.stop()
    other.kill()
    #expect(await other.wait().wasAsked)
  }

  @Test(
    "on a shared machine, and in a dry run, a foreign container is reported and runs on",
    .enabled(if: canRun, "\(reason)"),
    arguments: [
      GuardPolicy(mode: .shared), GuardPolicy(mode: .exclusive, isDryRun: true),
    ])
  func report(policy: GuardPolicy) async throws {
    let lab = try SandboxLab("report")
    defer { lab.remove() }
    let group = try ControlGroup(
      lab.host.groups, parent: lab.groupName, name: "neighbourhood",
      limits: SandboxLimits(memory: .mebi(256), milliCPUs: 1000))
    // It runs before the guard does: the scan finds it.
    let intruder = try start(foreign(), in: group)
    try await waitUntil { group.members().count >= 2 }
    let incidents = Incidents()
    let watch = ContainerGuard(
      policy, scope: .group(lab.groupName), groupName: lab.groupName,
      scanInterval: .milliseconds(200), leases: { [] }, report: { incidents.add($0) })
    try await waitUntil { incidents.all.contains { !$0.wasEvent } }
    await watch.stop()
    #expect(incidents.all.allSatisfy { $0.decision != .stop })
    intruder.kill()
    #expect(await intruder.wait().wasAsked)
    try group.kill()
  }
}
