import CShim
import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

/// A program that tries to get out, in every driver that passes its self-test here. The groups:
///
/// 1 files of the host · 2 its secrets · 3 its processes · 4 mounts · 5 namespaces · 6 files by handle ·
/// 7 devices · 8 kinds of sockets · 9 networks, abstract sockets, shared memory · 10 system calls ·
/// 11 rights and priorities · 12 files of the kernel · 13 control groups · 14 the runtime's program and
/// leaked descriptors · 15 terminals · 16 fork bomb · 17 memory · 18 disk · 19 what outputs may hold ·
/// 20 orphans. 21, what a dead agent leaves, is in DeadAgentTests.
@Suite(.serialized) struct EscapeTests {
  static let drivers = ["bwrap", "crun", "runc"].filter { SandboxLab.find($0) != nil }
  static let compiler = ["cc", "gcc", "clang"].compactMap { SandboxLab.find($0) }.first
  static let reason = "root, a C compiler, or every one of bwrap, crun and runc is missing: SKIPPED"

  private func driver(_ name: String, _ lab: SandboxLab) throws -> any SandboxDriver {
    if name == "docker" {
      return DockerDriver(socket: try #require(DockerLab.shared).socket, host: lab.host)
    }
    let program = try #require(SandboxLab.find(name))
    return name == "bwrap"
      ? BubblewrapDriver(program: program, host: lab.host)
      : OCIDriver(program: program, host: lab.host)
  }

  private func run(_ arguments: [String]) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: arguments[0])
    process.arguments = Array(arguments.dropFirst())
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  @Test(
    "nothing gets out, nothing takes more than it may, and the host is as it was",
    .enabled(if: geteuid() == 0 && compiler != nil && !drivers.isEmpty, "\(reason)"),
    arguments: drivers + (DockerLab.shared == nil ? [] : ["docker"]))
  func escapes(from name: String) async throws {
    let lab = try SandboxLab("escape")
    defer { lab.remove() }
    let driver = try driver(name, lab)
    let report = await lab.selfTest.run(driver)
    guard report.isFitForStrangers else {
      // Such a driver is not used for strangers; that one passes is SandboxDriverTests' to say.
      print(
        "\(name) does not pass its self-test here, so it is not tried: \(report.faults): SKIPPED")
      return
    }

    // The host's things that must not be reached: a file, a service, a socket, shared memory.
    let secret = lab.folder + "/secret"
    try Data("keep".utf8).write(to: URL(fileURLWithPath: secret))
    chmod(secret, 0o666)
    chmod(lab.folder, 0o755)
    var port: UInt16 = 0
    let listener = iorun_local_listen("127.0.0.1", 0, &port)
    defer { close(listener) }
    var port6: UInt16 = 0
    let listener6 = iorun_local_listen("::1", 0, &port6)
    if listener6 < 0 { print("this machine has no ::1: not tried: SKIPPED") }
    defer { if listener6 >= 0 { close(listener6) } }
    let lan = Self.lanAddress()
    var lanPort: UInt16 = 0
    let lanListener = lan.map { iorun_local_listen($0, 0, &lanPort) } ?? -1
    if lanListener < 0 { print("this machine has no address but loopback's: not tried: SKIPPED") }
    defer { if lanListener >= 0 { close(lanListener) } }
    let shared = shmget(key_t(getpid()), 4096, Int32(0o1666))
    defer { shmctl(shared, Int32(IPC_RMID), nil) }
    setenv("IORUN_HOST_MARKER", "1", 1)
    defer { unsetenv("IORUN_HOST_MARKER") }
    let hostname = ProcessInfo.processInfo.hostName
    let corePattern = ControlGroup.text("/proc/sys/kernel/core_pattern")

    let root = lab.folder + "/root"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
    try #require(
      run([
        try #require(Self.compiler), "-static", "-O1", "-o", root + "/attempts",
        source + "/Attempts/attempts.c",
      ]) == 0)
    let scratch = try MemoryScratch().open(at: lab.folder + "/scratch", size: .mebi(8))
    defer { try? scratch.close() }
    // The way to it is the host's own; the sandbox's user need not be able to walk it.
    let limits = SandboxLimits(
      memory: .mebi(64), processes: 48, milliCPUs: 1000, temporary: .mebi(4),
      sharedMemory: .mebi(2), openFiles: 256)
    // Another task of the same agent.
    var other = SandboxSpec(
      name: "other", root: root, command: ["/attempts", "wait"], limits: limits,
      environment: ["HOST_SECRET": secret])
    other.firstUser += SandboxSpec.userCount
    let words = try SandboxCapture()
    let task = try await Blocking.run { [other] in
      try driver.launch(other, streams: words.streams)
    }
    let deadline = ContinuousClock.now + .seconds(30)
    while try words.text(limit: 100) != "here\n", ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(try words.text(limit: 100) == "here\n")
    let spec = SandboxSpec(
      name: "escape", root: root, command: ["/attempts"], limits: limits,
      environment: [
        "OTHER_TASK_PID": "\(task.pid)", "HOST_PORT_6": "\(listener6 < 0 ? 0 : port6)",
        "HOST_LAN": lan ?? "", "HOST_LAN_PORT": "\(lanListener < 0 ? 0 : lanPort)",
        "HOST_SECRET": secret, "HOST_PID": "\(getpid())", "HOST_PORT": "\(port)",
        "HOST_ABSTRACT": "iorun-\(getpid())", "HOST_SHM": "\(getpid())",
        "HOST_GROUP": lab.groupName, "JOB_SECRET": "only-in-the-environment",
        "LIMIT_PROCESSES": "\(limits.processes)", "LIMIT_MEMORY": "\(limits.memory.rawValue)",
        "LIMIT_TMP": "\(limits.temporary.rawValue)", "LIMIT_SHM": "\(limits.sharedMemory.rawValue)",
        "LIMIT_JOB": "\(8 << 20)",
      ], scratch: scratch.path)
    let capture = try SandboxCapture()
    let process = try await Blocking.run { try driver.launch(spec, streams: capture.streams) }
    let watchdog = Task {
      try await Task.sleep(for: .seconds(60))
      process.kill()
    }
    let end = await process.wait()
    watchdog.cancel()

    let lines = try capture.text(limit: 64 << 10).split(separator: "\n").map(String.init)
    let allowed = lines.filter { $0.hasSuffix("ALLOWED") }
    #expect(allowed == [], "by \(name)")
    #expect(lines.last == "done", "\(end) after: \(lines.suffix(3))")
    #expect(end.cause == .exited(status: 0))
    #expect(end.limitsHit.contains(.memory))
    let groups = Set(lines.compactMap { $0.split(separator: " ").first.flatMap { Int($0) } })
    #expect(groups == Set(1...20))
    #expect(lines.count { $0.hasSuffix("blocked") } > 120)

    // 3: the other task runs on.
    #expect(kill(task.pid, 0) == 0)
    task.kill()
    #expect(await task.wait().wasAsked, "nobody else ended it")
    // 20: nothing of it is left, whatever it did to stay.
    #expect(Self.processes(of: spec.hostUser) == [])
    // 19: what it left is opened by the agent below its folder only.
    let job = open(scratch.path + "/job", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(job) }
    for path in ["link", "folder/etc/passwd", "magic/etc/passwd", "../upper", "/etc/passwd"] {
      let descriptor = iorun_open_beneath(job, path, O_RDONLY, 0)
      #expect(descriptor < 0, "\(path)")
      if descriptor >= 0 { close(descriptor) }
    }
    // The host is as it was.
    #expect(try String(contentsOfFile: secret, encoding: .utf8) == "keep")
    #expect(ProcessInfo.processInfo.hostName == hostname)
    #expect(ControlGroup.text("/proc/sys/kernel/core_pattern") == corePattern)
  }

  @Test(
    "the program of attempts refuses to run outside", .enabled(if: compiler != nil, "\(reason)"))
  func outside() throws {
    let lab = try SandboxLab("outside")
    defer { lab.remove() }
    let program = lab.folder + "/attempts"
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
    let built = try run([
      try #require(Self.compiler), "-static", "-O1", "-o", program, source + "/Attempts/attempts.c",
    ])
    try #require(built == 0)
    #expect(try run([program]) == 64)
  }

  @Test(
    "a job that takes all it can leaves its neighbour running",
    .enabled(if: geteuid() == 0 && drivers.contains("bwrap"), "\(reason)"))
  func neighbours() async throws {
    let lab = try SandboxLab("next")
    defer { lab.remove() }
    let driver = try driver("bwrap", lab)
    let root = try HostRoot(at: lab.folder + "/root")
    var first = SandboxSpec(
      name: "quiet", root: root.folder,
      command: ["/bin/sh", "-c", "echo up; read line; echo alive; exit 5"],
      limits: SandboxLimits(memory: .mebi(64), processes: 16, milliCPUs: 500),
      environment: ["PATH": "/usr/bin:/bin"], binds: root.binds)
    var pipe: [Int32] = [-1, -1]
    #expect(iorun_pipe(&pipe) == 0)
    let capture = try SandboxCapture()
    var streams = capture.streams
    streams.input = pipe[0]
    let quiet = try driver.launch(first, streams: streams)
    close(pipe[0])
    first.name = "loud"
    first.firstUser += SandboxSpec.userCount
    // Memory, processes, signals to all that it sees, output without end.
    first.command = [
      "/bin/sh", "-c",
      """
      kill -9 -1 2>/dev/null
      i=0; while [ $i -lt 40 ]; do i=$((i+1)); sleep 100 & done 2>/dev/null
      head -c 100000000 /dev/zero | tail -c 99999999 >/dev/null
      exit 0
      """,
    ]
    let noise = try SandboxCapture()
    let loud = try driver.launch(first, streams: noise.streams)
    let watchdog = Task {
      try await Task.sleep(for: .seconds(30))
      loud.kill()
    }
    let end = await loud.wait()
    watchdog.cancel()
    #expect(!end.wasAsked || !end.limitsHit.isEmpty)
    write(pipe[1], "go\n", 3)
    close(pipe[1])
    let quietEnd = await quiet.wait()
    #expect(quietEnd.cause == .exited(status: 5))
    #expect(try capture.text(limit: 100) == "up\nalive\n")
  }

  /// An IPv4 address of this machine that is not loopback.
  static func lanAddress() -> String? {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return nil }
    defer { freeifaddrs(list) }
    return sequence(first: list) { $0?.pointee.ifa_next }.lazy.compactMap { entry -> String? in
      guard let entry = entry?.pointee, entry.ifa_flags & UInt32(IFF_LOOPBACK) == 0,
        let address = entry.ifa_addr, Int32(address.pointee.sa_family) == AF_INET
      else { return nil }
      var text = [CChar](repeating: 0, count: 64)
      guard
        getnameinfo(
          address, socklen_t(MemoryLayout<sockaddr_in>.size), &text, 64, nil, 0, NI_NUMERICHOST)
          == 0
      else { return nil }
      return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }.first
  }

  static func processes(of user: UInt32) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.filter { name in
      var status = stat()
      guard Int(name) != nil, stat("/proc/" + name, &status) == 0, status.st_uid == user else {
        return false
      }
      // What was killed and not yet collected by init runs no more.
      return !ControlGroup.text("/proc/\(name)/stat").contains(") Z ")
    }
  }
}
