import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

@Suite struct ControlGroupLayoutTests {
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
