import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct ControlGroupLayoutTests {
  @Test("hosts of version 1, 2 and both are understood")
  func layouts() {
    let hybrid = ControlGroupLayout(
      mountInfo: """
        30 20 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
        31 30 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
        32 30 0:27 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory
        33 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
        """,
      groups: "3:memory:/a/b\n2:cpu,cpuacct:/\n0::/user.slice\n")
    #expect(hybrid.unified == "/sys/fs/cgroup/unified/user.slice")
    #expect(hybrid.version1["memory"] == "/sys/fs/cgroup/memory/a/b")
    #expect(hybrid.version1["cpu"] == "/sys/fs/cgroup/cpu,cpuacct")
    #expect(ControlGroup.hierarchies(hybrid).map(\.options) == ["cpu,cpuacct", "memory"])
    let container = ControlGroupLayout(
      mountInfo: "31 30 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
      groups: "0::/docker/1/job\n")
    #expect(container.unified == "/sys/fs/cgroup/job")
    #expect(container.version1 == [:])
    #expect(ControlGroupLayout(mountInfo: "", groups: "").unified == nil)
  }

  @Test("damaged texts are no reason to fail")
  func damaged() {
    let text = "31 30 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n4:memory:/x\n0::/\n"
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<500 {
      var bytes = Array(text.utf8)
      for _ in 0..<4 {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
          in: 0...127, using: &generator)
      }
      let damaged = String(decoding: bytes, as: UTF8.self)
      let layout = ControlGroupLayout(mountInfo: damaged, groups: damaged)
      #expect(layout.version1.count < 10)
    }
  }

  /// A host with version 2 that gives one controller away; `nil` where the kernel has none to give.
  private static func controller(_ layout: ControlGroupLayout) -> (top: String, name: String)? {
    guard geteuid() == 0, let top = layout.unifiedMount,
      access(top + "/cgroup.type", F_OK) != 0,
      let name = ControlGroup.words(top + "/cgroup.controllers").first
    else { return nil }
    return (top, name)
  }

  @Test(
    "an agent leaves its own group of version 2, so that groups below it can be limited",
    .enabled(
      if: controller(.current()) != nil,
      "needs root and a controller in version 2 of control groups: SKIPPED"))
  func settles() throws {
    let (top, controller) = try #require(Self.controller(.current()))
    let own = top + "/iorun-test-settle-\(getpid())"
    let wasGiven = ControlGroup.words(top + "/cgroup.subtree_control").contains(controller)
    try ControlGroup.write("+" + controller, to: top + "/cgroup.subtree_control")
    var agents: [Process] = []
    defer {
      for agent in agents {
        // SIGTERM may be blocked in what tests start.
        kill(agent.processIdentifier, SIGKILL)
        agent.waitUntilExit()
      }
      ControlGroup.removeTree(own)
      ControlGroup.removeTree(top + "/" + ControlGroupLayout.sharedName)
      if !wasGiven {
        try? ControlGroup.write("-" + controller, to: top + "/cgroup.subtree_control")
      }
    }
    try #require(mkdir(own, 0o755) == 0)
    func start() throws -> pid_t {
      let agent = Process()
      agent.executableURL = URL(fileURLWithPath: "/bin/sleep")
      agent.arguments = ["600"]
      try agent.run()
      agents.append(agent)
      try ControlGroup.write("\(agent.processIdentifier)", to: own + "/cgroup.procs")
      return agent.processIdentifier
    }
    let agent = try start()
    var layout = ControlGroupLayout(mountInfo: "", groups: "")
    (layout.unified, layout.unifiedMount) = (own, top)
    // What the kernel says to an agent that stays where it was started.
    #expect(throws: IorunError.self) {
      try ControlGroup.write("+" + controller, to: own + "/cgroup.subtree_control")
    }
    let settled = try layout.settled(agent: agent, controllers: [controller])
    #expect(settled.unified == own)
    #expect(ControlGroup.words(own + "/agent/cgroup.procs") == ["\(agent)"])
    try ControlGroup.write("+" + controller, to: own + "/cgroup.subtree_control")
    try #require(mkdir(own + "/box", 0o755) == 0)
    #expect(ControlGroup.words(own + "/box/cgroup.controllers") == [controller])
    // Started again in the leaf, as by `DelegateSubgroup=agent`, it finds the group above.
    layout.unified = own + "/agent"
    try ControlGroup.write("-" + controller, to: own + "/cgroup.subtree_control")
    #expect(ControlGroup.words(own + "/agent/cgroup.controllers").isEmpty)
    #expect(try layout.settled(agent: agent, controllers: [controller]).unified == own)
    // A group with somebody else's processes is left to them.
    let other = try start()
    try ControlGroup.write("\(agent)", to: own + "/cgroup.procs")
    layout.unified = own
    let shared = try layout.settled(agent: agent, controllers: [controller])
    #expect(shared.unified == top + "/" + ControlGroupLayout.sharedName)
    #expect(Set(ControlGroup.words(own + "/cgroup.procs")) == ["\(agent)", "\(other)"])
    // Without the controllers that are wanted nobody is moved.
    #expect(try layout.settled(agent: agent, controllers: ["no-such"]) == layout)
  }

  @Test(
    "processes that enter a group which gave its controllers away get one below it",
    .enabled(
      if: controller(.current()) != nil,
      "needs root and a controller in version 2 of control groups: SKIPPED"))
  func enters() throws {
    let (top, controller) = try #require(Self.controller(.current()))
    let own = top + "/iorun-test-enter-\(getpid())"
    let wasGiven = ControlGroup.words(top + "/cgroup.subtree_control").contains(controller)
    try ControlGroup.write("+" + controller, to: top + "/cgroup.subtree_control")
    let name = "box"
    let group = try ControlGroup(
      { () -> ControlGroupLayout in
        var layout = ControlGroupLayout(mountInfo: "", groups: "")
        layout.unified = top
        return layout
      }(), parent: (own as NSString).lastPathComponent, name: name,
      limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000))
    defer {
      group.remove()
      ControlGroup.removeTree(own)
      if !wasGiven {
        try? ControlGroup.write("-" + controller, to: top + "/cgroup.subtree_control")
      }
    }
    // What `OCIControlGroups` has the runtime's process do.
    try ControlGroup.write("+" + controller, to: own + "/cgroup.subtree_control")
    try ControlGroup.write("+" + controller, to: own + "/box/cgroup.subtree_control")
    let capture = try SandboxCapture()
    let pid = try SandboxLaunch(
      path: "/bin/sleep", arguments: ["sleep", "600"], streams: capture.streams, group: group
    ).start()
    #expect(ControlGroup.words(own + "/box/runtime/cgroup.procs") == ["\(pid)"])
    try group.kill()
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    #expect(group.members().isEmpty)
  }

  @Test(
    "an agent that died leaves groups, and the next one ends what is in them",
    .enabled(if: geteuid() == 0, "control groups need root: SKIPPED"))
  func leftovers() async throws {
    let lab = try SandboxLab("reap")
    defer { lab.remove() }
    let limits = SandboxLimits(memory: .mebi(64), milliCPUs: 1000)
    let group = try ControlGroup(
      lab.host.groups, parent: lab.groupName, name: "dead", limits: limits)
    let capture = try SandboxCapture()
    let pid = try SandboxLaunch(
      path: "/bin/sh", arguments: ["sh", "-c", "setsid sleep 1000 & exec setsid -f sleep 1000"],
      environment: ["PATH": "/usr/bin:/bin"], streams: capture.streams, group: group
    ).start()
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    #expect(group.members().count >= 1)
    let names = try ControlGroup.reapLeftovers(lab.host.groups, parent: lab.groupName)
    #expect(names == ["dead"])
    #expect(group.members().isEmpty)
    #expect(group.folders.values.allSatisfy { access($0, F_OK) != 0 })
  }
}
