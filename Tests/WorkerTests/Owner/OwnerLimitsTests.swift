import Foundation
import IorunCore
import Testing

@testable import IorunWorker

@Suite struct OwnerLimitsTests {
  private func use(
    _ minute: Int = 720, cores: Double? = 0, typed: Duration? = nil, celsius: Int? = nil
  ) -> MachineUse {
    MachineUse(
      minuteOfDay: minute, foreignCores: cores, sinceTyping: typed, temperatureCelsius: celsius)
  }

  @Test(arguments: [
    ("22:00-07:00", [22 * 60, 0, 6 * 60 + 59], [21 * 60 + 59, 7 * 60, 12 * 60]),
    ("09:30-17:00", [9 * 60 + 30, 16 * 60 + 59], [9 * 60 + 29, 17 * 60, 0]),
    ("0:00-0:01", [0], [1, 1439]),
  ])
  func `hours may go past midnight`(text: String, inside: [Int], outside: [Int]) throws {
    let hours = try DailyHours(text)
    for minute in inside { #expect(hours.contains(minute: minute), "\(minute)") }
    for minute in outside { #expect(!hours.contains(minute: minute), "\(minute)") }
  }

  @Test(arguments: [
    "", "22:00", "22:00-22:00", "24:00-07:00", "22:60-07:00", "-1:00-07:00", "22:00-07:00-08:00",
    "a:b-c:d", "022:00-07:00", "٢٢:00-07:00",
  ])
  func `what are no hours is refused`(text: String) {
    #expect(throws: IorunError.self) { try DailyHours(text) }
  }

  @Test func `hours survive their file`() throws {
    let hours = try DailyHours("22:00-7:05")
    let text = try JSONEncoder().encode([hours])
    #expect(String(decoding: text, as: UTF8.self) == #"["22:00-07:05"]"#)
    #expect(try JSONDecoder().decode([DailyHours].self, from: text) == [hours])
  }

  @Test func `outside of its hours a machine takes no work`() throws {
    var limits = OwnerLimits()
    limits.hours = try DailyHours("22:00-07:00")
    #expect(limits.hold(use(23 * 60), sinceUse: nil, wasHot: false) == nil)
    #expect(
      limits.hold(use(12 * 60), sinceUse: nil, wasHot: false)
        == .outsideHours(try DailyHours("22:00-07:00")))
  }

  @Test func `a machine that was too hot must cool down first`() {
    var limits = OwnerLimits()
    limits.maximumCelsius = 80
    #expect(limits.hold(use(celsius: 79), sinceUse: nil, wasHot: false) == nil)
    #expect(
      limits.hold(use(celsius: 80), sinceUse: nil, wasHot: false) == .tooHot(celsius: 80, limit: 80)
    )
    #expect(
      limits.hold(use(celsius: 76), sinceUse: nil, wasHot: true) == .tooHot(celsius: 76, limit: 80))
    #expect(limits.hold(use(celsius: 74), sinceUse: nil, wasHot: true) == nil)
    // A machine without a sensor is not held by what it cannot know.
    #expect(limits.hold(use(celsius: nil), sinceUse: nil, wasHot: true) == nil)
  }

  @Test func `an idle machine is one that others have left alone for long enough`() {
    var limits = OwnerLimits()
    limits.idleMinutes = 10
    #expect(limits.hold(use(), sinceUse: nil, wasHot: false) == .inUse(idleMinutes: 10))
    #expect(limits.hold(use(), sinceUse: .seconds(599), wasHot: false) == .inUse(idleMinutes: 10))
    #expect(limits.hold(use(), sinceUse: .seconds(600), wasHot: false) == nil)
    #expect(OwnerLimits.isInUse(use(cores: 0.6)))
    #expect(OwnerLimits.isInUse(use(cores: nil)), "what is not known counts as use")
    #expect(OwnerLimits.isInUse(use(typed: .seconds(3))))
    #expect(!OwnerLimits.isInUse(use(cores: 0.4, typed: .seconds(61))))
  }

  @Test func `wishes survive their file, and a damaged one is said`() throws {
    let folder = NSTemporaryDirectory() + "iorun-owner-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect(try OwnerWishes.load(from: folder) == OwnerWishes())
    var wishes = OwnerWishes()
    wishes.isPaused = true
    wishes.limits.hours = try DailyHours("22:00-07:00")
    wishes.limits.endsWork = true
    try wishes.save(to: folder)
    #expect(try OwnerWishes.load(from: folder) == wishes)
    try "{".write(toFile: folder + "/owner.json", atomically: false, encoding: .utf8)
    let error = #expect(throws: IorunError.self) { try OwnerWishes.load(from: folder) }
    #expect(error?.code == .identityUnusable)
  }

  @Test func `a meter takes the agent's own work off`() throws {
    let root = NSTemporaryDirectory() + "iorun-meter-\(UUID())"
    defer { try? FileManager.default.removeItem(atPath: root) }
    func write(_ path: String, _ text: String) throws {
      let whole = root + path
      try FileManager.default.createDirectory(
        atPath: (whole as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try text.write(toFile: whole, atomically: false, encoding: .utf8)
    }
    func process(_ pid: Int, parent: Int, user: Int) throws {
      try write(
        "/proc/\(pid)/stat",
        "\(pid) (a ) b) S \(parent) 1 1 0 -1 4194304 0 0 0 0 \(user) 0 0 0 20 0 1 0 0\n")
    }
    try write("/proc/stat", "cpu  1000 0 0 9000 0 0 0 0 0 0\n")
    try process(50, parent: 1, user: 100)
    try process(51, parent: 50, user: 100)
    try process(60, parent: 1, user: 800)
    try write("/sys/class/thermal/thermal_zone0/temp", "45123\n")
    try write("/sys/class/thermal/thermal_zone1/temp", "61999\n")
    var meter = MachineMeter(root: root, agent: 50)
    let start = ContinuousClock.now
    let first = meter.look(seesUse: true, at: start)
    #expect(first.foreignCores == nil, "one look has nothing to compare with")
    #expect(first.temperatureCelsius == 61)
    // Ten seconds of 100 ticks: 900 ticks busy, of which 400 are the agent's.
    try write("/proc/stat", "cpu  1900 0 0 9000 0 0 0 0 0 0\n")
    try process(51, parent: 50, user: 500)
    let second = meter.look(seesUse: true, at: start + .seconds(10))
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK))) * 10
    #expect(abs((second.foreignCores ?? -1) - 500 / ticks) < 0.001)
  }

  @Test func `a service's unit quotes what it is given`() throws {
    let unit = ServiceUnit(
      program: "/opt/io run/iorun", stateFolder: "/srv/100%/$x", isSystemWide: true)
    #expect(
      unit.text.contains(#"ExecStart="/opt/io run/iorun" join --state-dir "/srv/100%%/$$x""#))
    #expect(unit.text.contains("WantedBy=multi-user.target"))
    #expect(unit.text.contains("Delegate=yes"))
  }
  @Test(
    .enabled(
      if: InstalledProgram.find("systemd-analyze") != nil, "systemd-analyze is missing: SKIPPED"))
  func `a service's unit is one that systemd takes`() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/" + ServiceUnit.name
    let unit = ServiceUnit(
      program: "/bin/sh", stateFolder: folder.path + "/a 100% $state", isSystemWide: true)
    try Data(unit.text.utf8).write(to: URL(fileURLWithPath: path))
    let verify = Process()
    verify.executableURL = URL(
      fileURLWithPath: try #require(InstalledProgram.find("systemd-analyze")))
    verify.arguments = ["verify", path]
    let output = Pipe()
    verify.standardError = output
    verify.standardOutput = output
    try verify.run()
    let said = try await Blocking.run { try output.fileHandleForReading.readToEnd() }
    verify.waitUntilExit()
    let text = String(decoding: said ?? Data(), as: UTF8.self)
    // An unknown key is a warning, and no failure.
    let complaints = text.split(separator: "\n").filter { $0.contains(ServiceUnit.name) }
    #expect(verify.terminationStatus == 0 && complaints.isEmpty, "\(text)")
  }
}
