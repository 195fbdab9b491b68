internal import IorunCore

/// What is written into which file of a control group for one limit, in both versions.
struct ControlGroupSetting {
  struct File {
    var name: String
    var value: String
    /// Left out where the kernel does not have it.
    var isOptional = false
  }

  var limit: SandboxLimit
  var controller: String
  var version1: [File]
  var version2: [File]

  static func all(_ limits: SandboxLimits, extraProcesses: Int) -> [ControlGroupSetting] {
    let memory = String(limits.memory.rawValue)
    let processes = String(limits.processes + extraProcesses)
    // Per 100 ms, the kernel's default; less than 1 ms is refused.
    let quota = max(1000, limits.milliCPUs * 100)
    return [
      ControlGroupSetting(
        limit: .memory, controller: "memory",
        version1: [
          File(name: "memory.limit_in_bytes", value: memory),
          // Memory and swap together: no swap.
          File(name: "memory.memsw.limit_in_bytes", value: memory, isOptional: true),
        ],
        version2: [
          File(name: "memory.max", value: memory),
          File(name: "memory.swap.max", value: "0", isOptional: true),
        ]),
      ControlGroupSetting(
        limit: .processes, controller: "pids",
        version1: [File(name: "pids.max", value: processes)],
        version2: [File(name: "pids.max", value: processes)]),
      ControlGroupSetting(
        limit: .cpu, controller: "cpu",
        version1: [
          File(name: "cpu.cfs_period_us", value: "100000"),
          File(name: "cpu.cfs_quota_us", value: String(quota)),
        ],
        version2: [File(name: "cpu.max", value: "\(quota) 100000")]),
    ]
  }
}
