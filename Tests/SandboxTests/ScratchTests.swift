import Foundation
import IorunCore
import IorunCrypto
import SandboxSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct ScratchTests {
  static let canMount = geteuid() == 0 && SandboxLab.find("mkfs.ext4") != nil
  static let canGocryptfs =
    canMount && SandboxLab.find("gocryptfs") != nil && access("/dev/fuse", R_OK | W_OK) == 0
    && access("/dev/loop-control", R_OK) == 0

  private func folder() throws -> String {
    let path = NSTemporaryDirectory() + "iorun-scratch-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private func write(_ mebibytes: Int, to path: String) throws {
    let file = try OpenFile(path, O_CREAT | O_WRONLY)
    for _ in 0..<mebibytes { try file.write([UInt8](repeating: 7, count: 1 << 20)) }
  }

  private func isMounted(below folder: String) -> Bool { !ScratchMounts.below(folder).isEmpty }

  @Test(
    "neither bytes nor names of what was written are on the disk, and nothing is left",
    .enabled(if: canGocryptfs, "gocryptfs, /dev/fuse, a loop device or root is missing: SKIPPED"))
  func ciphertext() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let pool = try ScratchPool(folder: base + "/scratch", backends: [GocryptfsScratch()])
    #expect(pool.backend?.kind == .gocryptfs, "\(pool.refusals)")
    let scratch = try pool.open("lease-1", size: .mebi(32))
    let planted = Array("PLANTED-PLAINTEXT-OF-A-STRANGER-".utf8)
    let content = Array(repeatElement(planted, count: 4096).joined())
    for number in 0..<8 {
      let file = try OpenFile(
        scratch.path + "/planted-name-of-a-stranger-\(number)", O_CREAT | O_WRONLY)
      try file.write(content)
      try file.synchronize()
    }
    sync()
    let cipher = base + "/scratch/lease-1/cipher"
    let names = try FileManager.default.contentsOfDirectory(atPath: cipher)
    var total = 0
    for name in names {
      let bytes = Data(try OpenFile(cipher + "/" + name, O_RDONLY).read(upTo: 64 << 20))
      total += bytes.count
      #expect(bytes.range(of: Data("PLANTED-PLAIN".utf8)) == nil)
      #expect(bytes.range(of: Data("planted-name-of".utf8)) == nil)
      #expect(!name.contains("image") && !name.contains("planted"))
    }
    // The search can fail: the same bytes are found where they are.
    #expect(total > content.count * 8)
    let plain = base + "/scratch/lease-1/plain/image"
    let image = Data(try OpenFile(plain, O_RDONLY).read(upTo: 64 << 20))
    #expect(image.range(of: Data("PLANTED-PLAIN".utf8)) != nil)
    try scratch.close()
    #expect(!isMounted(below: base))
    #expect(try FileManager.default.contentsOfDirectory(atPath: base + "/scratch") == [])
  }

  @Test(
    "the size of scratch is kept",
    .enabled(if: canGocryptfs, "gocryptfs, /dev/fuse, a loop device or root is missing: SKIPPED"))
  func size() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let scratch = try GocryptfsScratch().open(at: base + "/a", size: .mebi(16))
    let error = #expect(throws: IorunError.self) {
      try write(32, to: scratch.path + "/large")
    }
    #expect(error?.code == .diskFull)
    try scratch.close()
    #expect(!isMounted(below: base))
  }

  @Test(
    "what a dead agent left is torn down by the next one",
    .enabled(if: canGocryptfs, "gocryptfs, /dev/fuse, a loop device or root is missing: SKIPPED"))
  func leftovers() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let left = base + "/scratch/lease-dead"
    _ = try GocryptfsScratch().open(at: left, size: .mebi(16))
    #expect(isMounted(below: base))
    let pool = try ScratchPool(folder: base + "/scratch", backends: [])
    #expect(pool.backend == nil)
    #expect(!isMounted(below: base))
    #expect(access(left, F_OK) != 0)
    let refusal = #expect(throws: IorunError.self) { try pool.open("x", size: .mebi(1)) }
    #expect(refusal?.code == .sandboxUnavailable)
  }

  @Test(
    "scratch whose key is gone is not given out",
    .enabled(if: canGocryptfs, "gocryptfs, /dev/fuse, a loop device or root is missing: SKIPPED"))
  func keyless() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let scratch = try GocryptfsScratch().open(at: base + "/scratch/a", size: .mebi(16))
    #expect(scratch.isUsable)
    // It has the folder of ciphertext in its arguments.
    let holders = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap {
      pid_t($0)
    }
    .filter { ControlGroup.text("/proc/\($0)/cmdline").contains(base + "/scratch/a/cipher") }
    try #require(!holders.isEmpty)
    for holder in holders { kill(holder, SIGKILL) }
    for _ in 0..<3000 where scratch.isUsable { usleep(10_000) }
    #expect(!scratch.isUsable)
    _ = try ScratchPool(folder: base + "/scratch", backends: [])
    #expect(!isMounted(below: base))
  }

  @Test(
    "a copy of the machine's mounts that was made meanwhile does not keep scratch that is closed",
    .enabled(if: canGocryptfs, "gocryptfs, /dev/fuse, a loop device or root is missing: SKIPPED"))
  func copies() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let pool = try ScratchPool(folder: base + "/scratch", backends: [GocryptfsScratch()])
    pool.shareMounts()
    defer { pool.close() }
    let scratch = try pool.open("lease-1", size: .mebi(16))
    // What a sandbox's own process does first.
    let other = Process()
    let output = Pipe()
    other.executableURL = URL(fileURLWithPath: "/usr/bin/unshare")
    other.arguments = [
      "--mount", "--propagation", "slave", "sh", "-c", "echo ready; exec sleep 600",
    ]
    other.standardOutput = output
    try other.run()
    defer {
      // It may have been started with SIGTERM blocked.
      kill(other.processIdentifier, SIGKILL)
      other.waitUntilExit()
    }
    let word = try #require(try output.fileHandleForReading.read(upToCount: 5))
    #expect(String(decoding: word, as: UTF8.self) == "ready")
    try scratch.close()
    #expect(access(base + "/scratch/lease-1", F_OK) != 0)
    pool.close()
    #expect(!isMounted(below: base))
  }

  @Test(
    "scratch is made ahead of the size that was asked for last, used once, and removed at the end",
    .enabled(if: canMount, "root or mkfs.ext4 is missing: SKIPPED"))
  func ahead() async throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let pool = try ScratchPool(folder: base + "/s", backends: [MemoryScratch()])
    func isReady(_ count: Int) async -> Bool {
      for _ in 0..<3000 where pool.readyCount != count {
        try? await Task.sleep(for: .milliseconds(10))
      }
      return pool.readyCount == count
    }
    pool.makeAhead(2, size: .mebi(4))
    #expect(await isReady(2))
    let first = try pool.open("lease-1", size: .mebi(4))
    #expect(first.path.contains("/ready-"))
    #expect(await isReady(2))
    // Of another size there is none, and from now on there are.
    let second = try pool.open("lease-2", size: .mebi(8))
    #expect(second.path.contains("/lease-2/"))
    var third: ScratchMount?
    for _ in 0..<3000 where third == nil {
      let mount = try pool.open("lease-3", size: .mebi(8))
      if mount.path.contains("/ready-") { third = mount } else { try mount.close() }
    }
    let error = #expect(throws: IorunError.self) {
      try write(16, to: try #require(third).path + "/x")
    }
    #expect(error?.code == .diskFull)
    // One that was lost meanwhile is not given out.
    #expect(await isReady(2))
    for mount in ScratchMounts.below(base) where mount.contains("/ready-") {
      if mount != first.path, mount != third?.path { try ScratchMounts.unmount(mount) }
    }
    let fourth = try pool.open("lease-4", size: .mebi(8))
    #expect(fourth.path.contains("/lease-4/"))
    for mount in [first, second, try #require(third), fourth] { try mount.close() }
    pool.close()
    #expect(!isMounted(below: base))
    #expect(try FileManager.default.contentsOfDirectory(atPath: base + "/s") == [])
    // Afterwards it makes none ahead.
    let last = try pool.open("lease-5", size: .mebi(8))
    #expect(last.path.contains("/lease-5/"))
    try last.close()
    #expect(!isMounted(below: base))
  }

  @Test(
    "memory is the last resort, and a backend that is not there is named",
    .enabled(if: canMount, "root or mkfs.ext4 is missing: SKIPPED"))
  func memory() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    struct Missing: EncryptedScratch {
      var kind: ScratchKind { .dmCrypt }
      func open(at folder: String, size: Bytes) throws -> ScratchMount {
        throw IorunError(.scratchFailed, "not here")
      }
    }
    let pool = try ScratchPool(folder: base + "/s", backends: [Missing(), MemoryScratch()])
    #expect(pool.backend?.kind == .tmpfs)
    #expect(pool.refusals.keys.map(\.self) == [.dmCrypt])
    let scratch = try pool.open("lease", size: .mebi(4))
    let error = #expect(throws: IorunError.self) { try write(8, to: scratch.path + "/x") }
    #expect(error?.code == .diskFull)
    try scratch.close()
    #expect(!isMounted(below: base))
  }

  @Test("scratch that is not a mount of its own is refused")
  func check() throws {
    let base = try folder()
    defer { try? FileManager.default.removeItem(atPath: base) }
    try FileManager.default.createDirectory(
      atPath: base + "/inside", withIntermediateDirectories: true)
    let error = #expect(throws: IorunError.self) {
      try ScratchCheck.run(base + "/inside", outside: base, size: .gibi(1), canary: [1])
    }
    #expect(error?.code == .scratchFailed)
  }
}
