import Foundation
import IorunCore
import IorunSandbox

/// From a lease to the first instruction of its program: scratch, control groups, sandbox; with scratch
/// that was made ahead and without; beside the same runtime by hand, with neither scratch nor limits.
struct StartBenchmark {
  let lab: Lab
  let samples: Int

  private struct Line {
    var name: String
    var driver: any SandboxDriver
    var pool: ScratchPool
    var isWarm: Bool
    var times: [Double] = []
  }

  static let size = Bytes.gibi(4)

  func run() async throws -> [Figure] {
    var lines: [Line] = []
    for (name, driver) in lab.drivers {
      for isWarm in [false, true] {
        let pool = try lab.pool("\(name)-\(isWarm)")
        if isWarm { pool.makeAhead(2, size: Self.size) }
        lines.append(Line(name: name, driver: driver, pool: pool, isWarm: isWarm))
      }
    }
    let bare = try Bare.all(lab)
    var bareTimes = [[Double]](repeating: [], count: bare.count)
    // One of each in turn, so that what else the machine does meets all of them.
    for sample in 0...samples {
      for index in bare.indices {
        let began = ContinuousClock.now
        let process = try BareProcess(bare[index].words)
        try process.prints()
        let time = ContinuousClock.now - began
        process.end()
        // The first of all reads its files from the disk.
        if sample > 0 { bareTimes[index].append(time.milliseconds) }
      }
      for index in lines.indices {
        let line = lines[index]
        while line.isWarm, line.pool.readyCount < 2 {
          try await Task.sleep(for: .milliseconds(5))
        }
        let lease = Lease(lab: lab, driver: line.driver, pool: line.pool)
        let time = try await lease.run("lease-\(sample)", size: Self.size)
        if sample > 0 { lines[index].times.append(time.milliseconds) }
      }
    }
    for line in lines { line.pool.close() }
    let kind = lines.first?.pool.backend?.kind.rawValue ?? "none"
    return zip(bare, bareTimes).map {
      Figure("start: \($0.name), by hand", $1, unit: "ms")
    }
      + lines.map {
        Figure(
          "start: \($0.name), scratch \(kind) \($0.isWarm ? "made ahead" : "made then")", $0.times,
          unit: "ms")
      }
  }
}

/// One lease from its scratch to its end.
struct Lease: Sendable {
  let lab: Lab
  let driver: any SandboxDriver
  let pool: ScratchPool

  /// Runs a program that says one word; returns the time until it was heard.
  func run(_ name: String, size: Bytes) async throws -> Duration {
    let began = ContinuousClock.now
    let (process, scratch, first) = try await Blocking.run {
      let scratch = try pool.open(name, size: size)
      mkdir(scratch.path + "/job", 0o755)
      let ends = try FirstByte.pipe()
      defer { close(ends[0]) }
      let spec = SandboxSpec(
        name: name, root: lab.root.folder, command: ["/bin/echo", "here"],
        limits: SandboxLimits(memory: .mebi(256), milliCPUs: 1000), folder: "/job",
        scratch: scratch.path, binds: lab.root.binds)
      let process = try driver.launch(
        spec, streams: SandboxStreams(output: ends[1], errors: ends[1]))
      close(ends[1])
      try FirstByte.await(ends[0])
      return (process, scratch, ContinuousClock.now - began)
    }
    _ = await process.wait()
    try await Blocking.run { try scratch.close() }
    return first
  }
}

/// A runtime as somebody would start it by hand.
struct Bare {
  let name: String
  let words: [String]

  static func all(_ lab: Lab) throws -> [Bare] {
    var all = [Bare(name: "no sandbox", words: ["/bin/echo", "here"])]
    if let file = InstalledProgram.find("bwrap") {
      let links = ["bin", "sbin", "lib", "lib64"].flatMap { ["--symlink", "usr/" + $0, "/" + $0] }
      all.append(
        Bare(
          name: "bwrap",
          words: [file, "--unshare-all", "--ro-bind", "/usr", "/usr"] + links
            + ["--proc", "/proc", "--dev", "/dev", "/bin/echo", "here"]))
    }
    for name in ["crun", "runc"] {
      guard let file = InstalledProgram.find(name), let shell = InstalledProgram.find("unshare"),
        try makeBundle(lab.folder + "/bundle-" + name, file: file, lab: lab)
      else { continue }
      let start = [
        file, "--root", lab.folder + "/" + name, "run", "--bundle", lab.folder + "/bundle-" + name,
        "bare-\(getpid())",
      ]
      // crun refuses a machine that has both versions of control groups.
      let isHybrid = access("/sys/fs/cgroup/unified", F_OK) == 0
      all.append(
        Bare(
          name: name,
          words: isHybrid && name == "crun"
            ? [
              shell, "-m", "--propagation", "private", "sh", "-c",
              "umount /sys/fs/cgroup/unified; exec \"$@\"", "sh",
            ] + start : start))
    }
    return all
  }

  /// The runtime's own example of a configuration, with our root and program. False where it gives none.
  private static func makeBundle(_ folder: String, file: String, lab: Lab) throws -> Bool {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try BareProcess(["/bin/sh", "-c", "cd \(folder) && \(file) spec"]).end()
    let path = folder + "/config.json"
    guard let text = FileManager.default.contents(atPath: path),
      var configuration = try JSONSerialization.jsonObject(with: text) as? [String: Any],
      var process = configuration["process"] as? [String: Any],
      var mounts = configuration["mounts"] as? [[String: Any]]
    else { return false }
    process["terminal"] = false
    process["args"] = ["/bin/echo", "here"]
    mounts += lab.root.binds.map {
      ["destination": $0.target, "type": "bind", "source": $0.source, "options": ["rbind", "ro"]]
    }
    configuration["process"] = process
    configuration["mounts"] = mounts
    configuration["root"] = ["path": lab.root.folder, "readonly": true]
    try JSONSerialization.data(withJSONObject: configuration).write(to: URL(filePath: path))
    return true
  }
}
