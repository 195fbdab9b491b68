internal import CShim
internal import Foundation
internal import IorunCore
internal import IorunSandbox
internal import Synchronization

/// A job's shared memory on this node: a sparse file below `/dev/shm` that every process of the job maps
/// whole. Removed when this value goes; `removeLeftovers` removes what a killed agent left.
final class ArenaFile: Sendable {
  /// Where processes find it.
  let path: String
  /// Its length in bytes.
  let size: Int64
  /// For processes that inherit it: those in sandboxes, which have no path to it.
  let descriptor: Int32
  private let isNamed: Bool
  private static let made = Atomic(0)
  // The mapping's address: a number is Sendable where a pointer is not. The mapping lives as long as
  // this value, and the books (`ObjectArena`) keep two writers off the same bytes.
  private let address: UInt

  /// The folder for shared memory: real memory where the machine has it.
  static var folder: String { access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NSTemporaryDirectory() }

  /// How large the object store of a node may be: what was wished, else 30 % of `memory`, and never
  /// more than nine tenths of what the shared folder has free.
  ///
  /// - Throws: `fileSystem`.
  static func defaultSize(memory: Bytes, wish: Bytes?) throws -> Int64 {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else {
      throw IorunError.system("cannot look at", folder, errno: errno)
    }
    let free = Int64(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
    let wished =
      wish.map { Int64(clamping: $0.rawValue) } ?? Int64(clamping: memory.rawValue) / 10 * 3
    return max(
      ObjectArena.block, min(wished, free / 10 * 9) / ObjectArena.block * ObjectArena.block)
  }

  /// Makes the file and maps it. `name` is for people: a job that ended and comes back for a detached
  /// actor has a new one, while somebody may still hold the old.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  init(agent: PeerID, name: String, size: Int64) throws {
    let number = Self.made.add(1, ordering: .relaxed).newValue
    path = "\(Self.folder)/\(Self.prefix(agent))\(name)-\(number)"
    self.size = size
    isNamed = true
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw IorunError.system("cannot create", path, errno: errno) }
    // Held as long as this process lives, however it ends: what nobody holds was left behind.
    _ = flock(descriptor, LOCK_SH | LOCK_NB)
    let mapped =
      ftruncate(descriptor, off_t(size)) == 0
      ? mmap(nil, Int(size), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) : MAP_FAILED
    guard let mapped, mapped != MAP_FAILED else {
      let failure = IorunError.system("cannot map", path, errno: errno)
      close(descriptor)
      unlink(path)
      throw failure
    }
    address = UInt(bitPattern: mapped)
  }

  /// Makes one for processes in sandboxes, which inherit it and find it at `path`; it has no name, and
  /// its size cannot be changed.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  init(sealed size: Int64, path: String) throws {
    self.path = path
    self.size = size
    isNamed = false
    descriptor = try SandboxMemory.make(size: size)
    let mapped = mmap(nil, Int(size), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let mapped, mapped != MAP_FAILED else {
      let failure = IorunError.system("cannot map", "memory to share", errno: errno)
      close(descriptor)
      throw failure
    }
    address = UInt(bitPattern: mapped)
  }

  deinit {
    if isNamed { unlink(path) }
    // The kernel frees the pages where the last holder lets go, for a tenth of a second a gibibyte or
    // more: not in the hub's thread, nor in a node that somebody waits to see stopped.
    if holdsMuch { iorun_release_later(descriptor, Self.releaseMilliseconds) }
    munmap(UnsafeMutableRawPointer(bitPattern: address), Int(size))
    close(descriptor)
  }

  /// The processes of the job are being killed meanwhile, and should not be the last ones either.
  private static let releaseMilliseconds: Int32 = 200
  /// What is given back in no time.
  private static let little: Int64 = 16 << 20

  private var holdsMuch: Bool {
    var status = stat()
    return fstat(descriptor, &status) == 0 && Int64(status.st_blocks) * 512 > Self.little
  }

  /// Removes the arenas that an agent left, also those of the agent itself when it is done.
  static func removeLeftovers(of agent: PeerID) {
    for name in names where name.hasPrefix(prefix(agent)) { unlink("\(folder)/\(name)") }
  }

  /// Removes the arenas of agents of this user that were killed and do not come back: nobody holds
  /// their locks. One that is just being made may not be locked yet, and is left alone.
  static func removeOrphans() {
    for name in names where name.hasPrefix("iorun-") {
      let descriptor = open("\(folder)/\(name)", O_RDWR | O_CLOEXEC | O_NOFOLLOW)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      var status = stat()
      guard fstat(descriptor, &status) == 0, status.st_uid == geteuid(),
        time(nil) - status.st_ctim.tv_sec > 10, flock(descriptor, LOCK_EX | LOCK_NB) == 0
      else { continue }
      unlink("\(folder)/\(name)")
    }
  }

  private static var names: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private static func prefix(_ agent: PeerID) -> String { "iorun-\(agent)-" }

  /// The bytes of one part. `nil` where the part is not all within the arena.
  func bytes(_ offset: Int64, _ count: Int64) -> UnsafeMutableRawBufferPointer? {
    guard offset >= 0, count >= 0, count <= size, offset <= size - count,
      let base = UnsafeMutableRawPointer(bitPattern: address)
    else { return nil }
    return UnsafeMutableRawBufferPointer(start: base + Int(offset), count: Int(count))
  }

  /// Gives pages to a part before anybody writes there: first writes into pages that the kernel has
  /// yet to find run at a tenth of memory's speed. Blocks for as long as that takes; false where the
  /// kernel has no such call or no memory.
  func populate(_ offset: Int64, _ count: Int64) -> Bool {
    guard let part = bytes(offset, count), count > 0 else { return false }
    // MADV_POPULATE_WRITE (Linux 5.14), which Glibc's module does not name.
    guard madvise(part.baseAddress, part.count, 23) == 0 else { return false }
    // The file keeps the pages. This process's own view of them goes: it hardly looks at any, and
    // to take a gibibyte of them down when it ends would keep whoever stops the node waiting.
    madvise(part.baseAddress, part.count, MADV_DONTNEED)
    return true
  }
}
