import Foundation
import IorunCore
import Testing

@testable import IorunWorker

/// Who is at the machine, and who computes on its GPUs.
@Suite struct DesktopSessionsTests {
  private static let desktop =
    "UID=1000\nACTIVE=1\nREMOTE=0\nTYPE=wayland\nCLASS=user\nSEAT=seat0\n"

  @Test func `a desktop is in use until it says that it is idle`() throws {
    let root = try TemporaryFolder()
    #expect(!DesktopSessions(root: root.path) { _ in nil }.isUsed, "nobody is logged in")
    try root.write(Self.desktop, to: "run/systemd/sessions/2")
    for (said, used) in [(nil, true), (false, true), (true, false)] as [(Bool?, Bool)] {
      #expect(DesktopSessions(root: root.path) { _ in said }.isUsed == used)
    }
  }

  @Test(arguments: [
    ("TYPE=wayland", "TYPE=tty"), ("ACTIVE=1", "ACTIVE=0"), ("REMOTE=0", "REMOTE=1"),
    ("CLASS=user", "CLASS=greeter"),
  ])
  func `terminals, screens in the background, far ones and greeters are no desktop`(
    from: String, to: String
  ) throws {
    let root = try TemporaryFolder()
    try root.write(
      Self.desktop.replacingOccurrences(of: from, with: to), to: "run/systemd/sessions/2")
    #expect(!DesktopSessions(root: root.path) { _ in false }.isUsed)
  }

  @Test func `without logind a display in utmp is one, and damaged bytes are none`() throws {
    var entry = utmpx()
    entry.ut_type = Int16(USER_PROCESS)
    withUnsafeMutableBytes(of: &entry.ut_line) { $0.copyBytes(from: Array(":0".utf8)) }
    let bytes = withUnsafeBytes(of: entry) { Data($0) }
    #expect(DesktopSessions.displays(bytes) == [":0"])
    #expect(DesktopSessions.displays(bytes + bytes.prefix(9)) == [":0"])
    var random = SystemRandomNumberGenerator()
    for size in 0..<2000 {
      let noise = Data((0..<size).map { _ in UInt8.random(in: 0...255, using: &random) })
      #expect(DesktopSessions.displays(noise).count <= size / 384)
    }
    let root = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: root.path + "/run", withIntermediateDirectories: true)
    try bytes.write(to: URL(fileURLWithPath: root.path + "/run/utmp"))
    #expect(DesktopSessions(root: root.path) { _ in nil }.isUsed)
  }

  private struct FakeGPUs: GPUProvider {
    var now: [GPUState]
    func gpus() -> [NodeFacts.GPU] { [] }
    func states() -> [GPUState] { now }
  }

  @Test func `a meter tells others' use of GPUs from the agent's own, and takes the hottest`()
    throws
  {
    let root = try TemporaryFolder()
    func process(_ pid: Int, parent: Int) throws {
      try root.write(
        "\(pid) (x) S \(parent) 1 1 0 -1 4194304 0 0 0 0 1 0 0 0 20 0 1 0 0\n",
        to: "proc/\(pid)/stat")
    }
    try root.write("cpu  1000 0 0 9000 0 0 0 0 0 0\n", to: "proc/stat")
    try process(50, parent: 1)
    try process(51, parent: 50)
    try process(60, parent: 1)
    try root.write("45000\n", to: "sys/class/thermal/thermal_zone0/temp")
    func meter(_ pids: [Int32]) -> MachineMeter {
      MachineMeter(
        root: root.path, agent: 50,
        gpus: FakeGPUs(now: [
          GPUState(
            index: 0, temperatureCelsius: 71,
            processes: pids.map { .init(pid: $0, memory: .gibi(2)) }, path: "/dev/nvidia0")
        ]))
    }
    var both = meter([51, 60])
    let use = both.look(seesUse: true)
    #expect(use.temperatureCelsius == 71 && use.foreignGPUProcesses == 1)
    #expect(use.ownGPUMemory == [0: .gibi(2)])
    var own = meter([51])
    #expect(own.look(seesUse: true).foreignGPUProcesses == 0)
    var blind = meter([51, 60])
    #expect(blind.look(seesUse: true, seesGPUs: false).temperatureCelsius == 45)
    #expect(
      OwnerLimits.isInUse(MachineUse(minuteOfDay: 0, foreignCores: 0, foreignGPUProcesses: 1)))
    #expect(OwnerLimits.isInUse(MachineUse(minuteOfDay: 0, foreignCores: 0, hasDesktopUser: true)))
    #expect(
      !OwnerLimits.isInUse(
        MachineUse(minuteOfDay: 0, foreignCores: 0, foreignGPUProcesses: 0, hasDesktopUser: false)))
  }
}
