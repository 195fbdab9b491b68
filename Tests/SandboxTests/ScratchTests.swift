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
