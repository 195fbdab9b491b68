internal import CPoW
internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// Measures a disk: bytes that cannot be compressed are written past the page cache, read back and
/// compared, then blocks of 4 KiB are read at random. **A measurement, not a proof**: the device
/// times itself, and could make the bytes anew in place of reading them. It finds disks that are
/// full, slow or wrong; what a job is promised is checked while it runs.
public struct DiskProbe: Sendable {
  /// What was found.
  public struct Result: Hashable, Codable, Sendable {
    /// Bytes of the file system (`statvfs`).
    public var capacityBytes: UInt64
    /// Bytes that anybody may still take.
    public var freeBytes: UInt64
    /// Sequential, a mebibyte at a time.
    public var writeBytesPerSecond: Double
    /// Sequential, a mebibyte at a time.
    public var readBytesPerSecond: Double
    /// Blocks of 4 KiB, one after the other.
    public var randomReadsPerSecond: Double
    /// False where the file system knows no `O_DIRECT`, and its cache was measured as well.
    public var isDirect: Bool

    /// Describes a measurement.
    public init(
      capacityBytes: UInt64, freeBytes: UInt64, writeBytesPerSecond: Double,
      readBytesPerSecond: Double, randomReadsPerSecond: Double, isDirect: Bool
    ) {
      (self.capacityBytes, self.freeBytes) = (capacityBytes, freeBytes)
      self.writeBytesPerSecond = writeBytesPerSecond
      self.readBytesPerSecond = readBytesPerSecond
      self.randomReadsPerSecond = randomReadsPerSecond
      self.isDirect = isDirect
    }

    /// False for rates that are none: a device says them itself.
    public var isPlausible: Bool {
      [writeBytesPerSecond, readBytesPerSecond, randomReadsPerSecond].allSatisfy {
        $0.isFinite && $0 >= 0
      } && freeBytes <= capacityBytes
    }

    private enum CodingKeys: String, CodingKey {
      case capacityBytes = "capacity_bytes"
      case freeBytes = "free_bytes"
      case writeBytesPerSecond = "write_bytes_per_second"
      case readBytesPerSecond = "read_bytes_per_second"
      case randomReadsPerSecond = "random_reads_per_second"
      case isDirect = "is_direct"
    }
  }

  /// Bytes of a read or write.
  private static let unit = 1 << 20
  private static let smallUnit = 4096
  /// What is accepted: 1 MiB to 64 GiB.
  public static let allowedBytes = 1 << 20...64 << 30

  private let folder: String
  private let units: Int
  private let randomReads: Int

  /// Chooses a folder of the disk and how many bytes to write there (rounded down to mebibytes).
  /// Throws `malformed` for a size out of bounds.
  public init(folder: String, bytes: Int, randomReads: Int = 1000) throws {
    try Limit.check(bytes, in: Self.allowedBytes, "bytes")
    try Limit.check(randomReads, in: 1...1_000_000, "random reads")
    (self.folder, self.units, self.randomReads) = (folder, bytes / Self.unit, randomReads)
  }

  /// Measures; blocks its thread on the disk for as long as that takes. The file has no name, so that
  /// nothing is left behind however this ends.
  ///
  /// - Throws: `diskFull` before anything is written where there is not room for twice the bytes;
  ///   `fileSystem` where the disk gives other bytes back; what opening and writing throw.
  public func run() throws -> Result {
    var space = statvfs()
    guard statvfs(folder, &space) == 0 else {
      throw IorunError.system("cannot measure", folder, errno: errno)
    }
    let fragment = UInt64(space.f_frsize)
    let (capacity, free) = (UInt64(space.f_blocks) * fragment, UInt64(space.f_bavail) * fragment)
    guard free / 2 >= UInt64(units * Self.unit) else {
      throw IorunError(
        .diskFull,
        "'\(folder)' has \(Bytes(free)) free, a probe of \(Bytes(UInt64(units * Self.unit)))"
          + " wants twice its size",
        remedy: "Free some space, or measure with fewer bytes")
    }
    let (descriptor, isDirect) = try open()
    defer { close(descriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Self.unit, alignment: Self.smallUnit)
    defer { buffer.deallocate() }
    let seed = SHA256.digest(of: try SecureRandom.bytes(SigningKey.byteCount))
    let stream = KeyedStream(seed: seed, purpose: "disk")
    var digests: [Digest] = []
    // Only the system calls are timed: making the bytes and comparing them is the processor's.
    var (written, read) = (Duration.zero, Duration.zero)
    for unit in 0..<units {
      try fill(buffer, stream, unit)
      digests.append(SHA256.digest(of: UnsafeRawBufferPointer(buffer)))
      written += try timed { try move(descriptor, buffer, unit * Self.unit, isWrite: true) }
    }
    written += try timed {
      guard fdatasync(descriptor) == 0 else {
        throw IorunError.system("cannot keep", folder, errno: errno)
      }
    }
    // Where there is no O_DIRECT the cache at least gives up what is on the disk already.
    _ = posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
    for unit in 0..<units {
      read += try timed { try move(descriptor, buffer, unit * Self.unit, isWrite: false) }
      guard SHA256.digest(of: UnsafeRawBufferPointer(buffer)) == digests[unit] else {
        throw IorunError(
          .fileSystem, "the disk under '\(folder)' gives other bytes back than were written",
          remedy: "Replace the disk, and check its data")
      }
    }
    let small = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Self.smallUnit])
    var random = SystemRandomNumberGenerator()
    let blocks = units * (Self.unit / Self.smallUnit)
    let randomly = try timed {
      for _ in 0..<randomReads {
        let block = Int.random(in: 0..<blocks, using: &random)
        try move(descriptor, small, block * Self.smallUnit, isWrite: false)
      }
    }
    let bytes = Double(units * Self.unit)
    return Result(
      capacityBytes: capacity, freeBytes: free,
      writeBytesPerSecond: bytes / max(written / .seconds(1), 1e-9),
      readBytesPerSecond: bytes / max(read / .seconds(1), 1e-9),
      randomReadsPerSecond: Double(randomReads) / max(randomly / .seconds(1), 1e-9),
      isDirect: isDirect)
  }

  private func timed(_ body: () throws -> Void) rethrows -> Duration {
    let start = ContinuousClock.now
    try body()
    return ContinuousClock.now - start
  }

  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, _ stream: KeyedStream, _ unit: Int
  ) throws {
    let perUnit = Self.unit / KeyedStream.blockByteCount
    for part in 0..<perUnit {
      let block = try stream.block(UInt64(unit * perUnit + part))
      let place = part * KeyedStream.blockByteCount
      UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + block.count])
        .copyBytes(from: block)
    }
  }

  /// A file without a name, past the cache where the file system can.
  private func open() throws -> (descriptor: Int32, isDirect: Bool) {
    let path = folder + "/.iorun-disk-probe-\(UUID().uuidString)"
    let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
    #if os(Linux)
      var descriptor = Foundation.open(path, flags | iorun_pow_direct_flag(), 0o600)
      var isDirect = descriptor >= 0
      if !isDirect, errno == EINVAL {
        // tmpfs and some others: the file may have been made all the same.
        unlink(path)
        descriptor = Foundation.open(path, flags, 0o600)
        isDirect = false
      }
    #else
      let descriptor = Foundation.open(path, flags, 0o600)
      let isDirect = descriptor >= 0 && fcntl(descriptor, F_NOCACHE, 1) == 0
    #endif
    guard descriptor >= 0 else { throw IorunError.system("cannot open", path, errno: errno) }
    unlink(path)
    return (descriptor, isDirect)
  }

  private func move(
    _ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, _ offset: Int, isWrite: Bool
  ) throws {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let count =
        isWrite
        ? pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
        : pread(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw IorunError.system(
          isWrite ? "cannot write" : "cannot read", folder, errno: count == 0 ? EIO : errno)
      }
      done += count
    }
  }
}
