import Foundation
import IorunCore
import IorunSandbox

/// What all parts use: a folder on this machine's disk, a root that shows its programs, and the drivers.
struct Lab {
  let folder: String
  let host: SandboxHost
  let root: HostRoot

  init() throws {
    let pid = getpid()
    folder = "/var/tmp/iorun-isolation-bench-\(pid)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    host = try SandboxHost(
      stateFolder: folder + "/state", groupName: "iorun-bench-\(pid)", groups: .current(),
      isRoot: true)
    root = try HostRoot(at: folder + "/root")
  }

  /// The drivers whose programs are here.
  var drivers: [(name: String, driver: any SandboxDriver)] {
    var found: [(String, any SandboxDriver)] = []
    if let file = InstalledProgram.find("bwrap") {
      found.append(("bwrap", BubblewrapDriver(program: file, host: host)))
    }
    for name in ["crun", "runc"] {
      guard let file = InstalledProgram.find(name) else { continue }
      found.append((name, OCIDriver(program: file, host: host)))
    }
    return found
  }

  /// Scratch of its own, so that what is made ahead for one line is not another's.
  func pool(
    _ name: String,
    backends: [any EncryptedScratch] = [DMCryptScratch(), GocryptfsScratch(), MemoryScratch()]
  ) throws -> ScratchPool {
    try ScratchPool(folder: folder + "/scratch-" + name, backends: backends)
  }

  func remove() {
    _ = try? ControlGroup.reapLeftovers(host.groups, parent: host.groupName)
    ControlGroup.removeParent(host.groups, parent: host.groupName)
    try? FileManager.default.removeItem(atPath: folder)
  }
}

/// A program that was started without iorun's sandboxes.
struct BareProcess {
  let pid: pid_t
  private let output: Int32

  /// Starts it with a pipe as its output.
  init(_ words: [String]) throws {
    let ends = try FirstByte.pipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [
      strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil,
    ]
    defer { for variable in environment { free(variable) } }
    var child: pid_t = 0
    let result = posix_spawn(&child, words[0], &actions, nil, &arguments, &environment)
    close(ends[1])
    guard result == 0 else {
      close(ends[0])
      throw IorunError.system("cannot start", words[0], errno: result)
    }
    pid = child
    output = ends[0]
  }

  /// Waits for what it prints first.
  func prints() throws { try FirstByte.await(output) }

  /// Waits for its end.
  func end() {
    close(output)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
  }
}

/// The first thing that a program says, which is its first instruction as far as others can see.
enum FirstByte {
  /// A pipe: where it is read and where it is said. No program inherits either by itself.
  static func pipe() throws -> [Int32] {
    var ends: [Int32] = [0, 0]
    guard Foundation.pipe(&ends) == 0 else {
      throw IorunError.system("cannot make", "a pipe", errno: errno)
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return ends
  }

  /// Waits for it.
  static func await(_ descriptor: Int32) throws {
    var byte: UInt8 = 0
    guard read(descriptor, &byte, 1) == 1 else {
      throw IorunError(.spawnFailed, "a program ended without a word")
    }
  }
}
