internal import Foundation
internal import Glibc
internal import IorunCore

/// Finds out what others than iorun do with the machine, from `/proc` and `/sys`, from the drivers of
/// GPUs, and from who is logged in.
struct MachineMeter: Sendable {
  private let root: String
  private let agent: Int32
  private let gpus: any GPUProvider
  private let desktop: DesktopSessions
  /// Clock ticks in which any processor was busy, and in which the agent's processes were.
  private var last: (busy: UInt64, own: UInt64, at: ContinuousClock.Instant)?

  /// Looks at the files below `root`, as the agent with that process id.
  init(
    root: String = "", agent: Int32 = getpid(), gpus: any GPUProvider = NVML(),
    desktop: DesktopSessions? = nil
  ) {
    self.root = root
    self.gpus = gpus
    self.desktop = desktop ?? DesktopSessions(root: root)
    self.agent = agent
  }

  /// A first look, which has no earlier one to compare with: the time of day and the heat.
  static var now: MachineUse {
    var meter = MachineMeter()
    return meter.look(seesUse: false, seesGPUs: false)
  }

  /// What goes on now. Reads files: not for the cooperative pool.
  ///
  /// - Parameter seesUse: whether to find out what others do with the machine, for which every process
  ///   is looked at; where not, that is `nil`.
  /// - Parameter seesGPUs: whether to ask GPUs' drivers, which takes a while.
  mutating func look(
    seesUse: Bool, seesGPUs: Bool = true, at now: ContinuousClock.Instant = .now,
    wallTime: time_t = time(nil)
  ) -> MachineUse {
    var moment = wallTime
    var calendar = tm()
    localtime_r(&moment, &calendar)
    let states = seesGPUs ? gpus.states() : []
    let processes = states.contains { !$0.processes.isEmpty } ? processes : [:]
    var use = MachineUse(
      minuteOfDay: Int(calendar.tm_hour) * 60 + Int(calendar.tm_min),
      foreignCores: seesUse ? foreignCores(now) : nil,
      sinceTyping: seesUse ? sinceTyping(wallTime) : nil,
      temperatureCelsius: ([temperature] + states.map(\.temperatureCelsius)).compactMap(\.self)
        .max(),
      foreignGPUProcesses: seesUse
        ? Set(states.flatMap { $0.processes.map(\.pid) }.filter { !isOwn($0, processes) }).count
        : nil,
      hasDesktopUser: seesUse ? desktop.isUsed : nil)
    for state in states {
      use.ownGPUMemory[state.index] = state.processes.filter { isOwn($0.pid, processes) }
        .map(\.memory).reduce(.zero, +)
    }
    return use
  }

  private mutating func foreignCores(_ now: ContinuousClock.Instant) -> Double? {
    guard let busy = busyTicks else { return nil }
    let own = ownTicks
    defer { last = (busy, own, now) }
    guard let last, now > last.at, busy >= last.busy else { return nil }
    // The agent's processes that have ended meanwhile count for nobody: less than is true.
    let others = Double(busy - last.busy) - Double(own) + Double(min(own, last.own))
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK))) * ((now - last.at) / .seconds(1))
    return max(0, others / ticks)
  }

  /// User, nice, system, interrupt and stolen-from-nobody time of all processors.
  private var busyTicks: UInt64? {
    guard let line = KernelFile.text(root + "/proc/stat")?.split(separator: "\n").first else {
      return nil
    }
    let fields = line.split(separator: " ").dropFirst().compactMap { UInt64($0) }
    guard fields.count >= 7 else { return nil }
    return fields[0] + fields[1] + fields[2] + fields[5] + fields[6]
  }

  /// The time of the agent and of everything that descends from it.
  private var ownTicks: UInt64 {
    let processes = processes
    return processes.keys.reduce(0) { sum, pid in
      isOwn(pid, processes) ? sum + (processes[pid]?.ticks ?? 0) : sum
    }
  }

  private var processes: [Int32: (parent: Int32, ticks: UInt64)] {
    var processes: [Int32: (parent: Int32, ticks: UInt64)] = [:]
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root + "/proc")) ?? []
    for name in names {
      // What has ended since the list was made is not there.
      guard let pid = Int32(name), let text = KernelFile.text("\(root)/proc/\(name)/stat"),
        let end = text.lastIndex(of: ")")
      else { continue }
      // Fields from the third on; see proc(5): ppid is the 4th, utime the 14th, stime the 15th.
      let fields = text[text.index(after: end)...].split(separator: " ")
      guard fields.count > 12, let parent = Int32(fields[1]), let user = UInt64(fields[11]),
        let system = UInt64(fields[12])
      else { continue }
      processes[pid] = (parent, user + system)
    }
    return processes
  }

  private func isOwn(_ pid: Int32, _ processes: [Int32: (parent: Int32, ticks: UInt64)]) -> Bool {
    var pid = pid
    for _ in 0..<64 {
      if pid == agent { return true }
      guard let parent = processes[pid]?.parent, parent > 1 else { return false }
      pid = parent
    }
    return false
  }

  /// A terminal's device is touched by what is typed at it.
  private func sinceTyping(_ wallTime: time_t) -> Duration? {
    let folders = ["/dev", "/dev/pts"]
    let terminals = folders.flatMap { folder in
      ((try? FileManager.default.contentsOfDirectory(atPath: root + folder)) ?? [])
        .filter { folder == "/dev" ? $0.hasPrefix("tty") && $0.count <= 5 : Int($0) != nil }
        .map { root + folder + "/" + $0 }
    }
    let touched = terminals.compactMap { path -> time_t? in
      var status = stat()
      return stat(path, &status) == 0 ? status.st_atim.tv_sec : nil
    }
    return touched.max().map { .seconds(max(0, wallTime - $0)) }
  }

  private var temperature: Int? {
    let folder = root + "/sys/class/thermal"
    let zones = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return zones.filter { $0.hasPrefix("thermal_zone") }.compactMap { zone -> Int? in
      guard let text = KernelFile.text("\(folder)/\(zone)/temp"),
        let thousandths = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)),
        (-50_000...250_000).contains(thousandths)
      else { return nil }
      return thousandths / 1000
    }.max()
  }
}
