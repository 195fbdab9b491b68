import Foundation
import IorunCore
import IorunSandbox
import Synchronization

/// How long after its start somebody else's container is seen. It is only reported, and looked for in a
/// control group of its own, so that nothing else on the machine is touched.
struct GuardBenchmark {
  let lab: Lab
  let samples: Int

  func run() async throws -> [Figure] {
    guard let file = InstalledProgram.find("bwrap") else { return [] }
    let isHybrid = access("/sys/fs/cgroup/unified", F_OK) == 0
    let name = "iorun-bench-guard-\(getpid())"
    let group = "/sys/fs/cgroup/\(isHybrid ? "unified/" : "")\(name)"
    guard mkdir(group, 0o755) == 0 else {
      throw IorunError.system("cannot make", group, errno: errno)
    }
    defer { rmdir(group) }
    let seen = Mutex<[Int32: ContinuousClock.Instant]>([:])
    let watch = ContainerGuard(
      GuardPolicy(mode: .exclusive, isDryRun: true), scope: .group(name),
      groupName: lab.host.groupName, leases: { [] },
      report: { incident in
        seen.withLock { seen in
          if seen[incident.facts.pid] == nil { seen[incident.facts.pid] = .now }
        }
      })
    guard watch.hasEvents else {
      await watch.stop()
      return [Figure("guard: without the kernel's events it looks every", [5000], unit: "ms")]
    }
    var reported: [Double] = []
    var spoken: [Double] = []
    for _ in 0..<samples {
      let began = ContinuousClock.now
      let container = try BareProcess([
        "/bin/sh", "-c",
        "echo $$ > \(group)/cgroup.procs; exec \(file) --ro-bind / / --unshare-pid --dev /dev "
          + "--proc /proc --die-with-parent /bin/sh -c 'echo here; exec sleep 60'",
      ])
      try container.prints()
      spoken.append((ContinuousClock.now - began).milliseconds)
      var time: ContinuousClock.Instant?
      for _ in 0..<2000 where time == nil {
        time = seen.withLock { $0[container.pid] }
        if time == nil { try await Task.sleep(for: .milliseconds(5)) }
      }
      kill(container.pid, SIGKILL)
      container.end()
      if let time { reported.append((time - began).milliseconds) }
    }
    await watch.stop()
    // Its own processes end with it, and the group is empty then.
    for _ in 0..<1000 where rmdir(group) != 0 { try await Task.sleep(for: .milliseconds(10)) }
    return [
      Figure("guard: a container says its first word after", spoken, unit: "ms"),
      Figure("guard: it was seen after", reported, unit: "ms"),
      Figure("guard: containers that were not seen", [Double(samples - reported.count)], unit: ""),
    ]
  }
}
