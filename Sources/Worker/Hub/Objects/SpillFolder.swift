internal import Foundation
internal import IorunCore

/// Objects of one job on disk: a file an object, below the node's state folder. Every call blocks and
/// belongs on `Blocking`.
struct SpillFolder: Sendable {
  let path: String

  /// Makes the folder, and removes what was left in it.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  init(_ path: String) throws {
    self.path = path
    if FileManager.default.fileExists(atPath: path) {
      try FileManager.default.removeItem(atPath: path)
    }
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  /// How much objects may take on this disk: what is free now, less a tenth of the disk.
  func quota() -> Int64 {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return 0 }
    let unit = Int64(status.f_frsize)
    let (free, total) = (Int64(status.f_bavail) * unit, Int64(status.f_blocks) * unit)
    return max(0, free - total / 10)
  }

  /// Writes an object from the arena.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  func write(_ transfer: ObjectArena.Transfer, from arena: ArenaFile) throws {
    guard let bytes = arena.bytes(transfer.offset, transfer.size) else { throw outside(transfer) }
    let file = try OpenFile(name(transfer.object), O_WRONLY | O_CREAT | O_TRUNC)
    do {
      try file.write(UnsafeRawBufferPointer(bytes))
    } catch {
      unlink(name(transfer.object))
      throw error
    }
  }

  /// Reads an object back into the arena.
  ///
  /// - Throws: `fileSystem`, also where the file is shorter than the object.
  func read(_ transfer: ObjectArena.Transfer, into arena: ArenaFile) throws {
    guard let bytes = arena.bytes(transfer.offset, transfer.size) else { throw outside(transfer) }
    let file = try OpenFile(name(transfer.object), O_RDONLY)
    guard try file.read(into: bytes) == bytes.count else {
      throw IorunError(.fileSystem, "\(name(transfer.object)) is shorter than its object")
    }
  }

  /// Forgets an object.
  func delete(_ object: ObjectID) { unlink(name(object)) }

  /// Removes everything.
  func remove() {
    // Whatever is left is removed when the folder is next made.
    try? FileManager.default.removeItem(atPath: path)
  }

  private func name(_ object: ObjectID) -> String { "\(path)/\(object)" }

  private func outside(_ transfer: ObjectArena.Transfer) -> IorunError {
    IorunError(.internalFault, "object \(transfer.object) does not lie within the arena")
  }
}
