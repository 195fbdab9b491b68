internal import Foundation
internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// One file of a copy that grows beside its place. Every call blocks on the disk; one at a time.
final class CopyWriter: Sendable {
  private struct State: ~Copyable, Sendable {
    /// The partial file; `nil` where the whole file stands at its place already.
    var file: OpenFile?
    var hasher = RunningSHA256()
    var position: UInt64
  }

  private let folder: CopyFolder
  private let path: String
  private let name: String
  private let size: UInt64
  private let state: Mutex<State>

  /// Goes on behind the first `offset` bytes: of the whole file, or of the partial one.
  init(_ path: String, size: UInt64, from offset: UInt64, isWhole: Bool, in folder: CopyFolder)
    throws
  {
    self.folder = folder
    self.path = path
    self.size = size
    name = Self.partialName(of: path, size: size)
    var state = State(file: nil, position: offset)
    if isWhole {
      let present = try folder.openFile(path)
      try Self.hash(present, upTo: offset, into: &state.hasher)
    } else {
      let partial = try folder.openPartial(name, besides: path, empty: offset == 0)
      try Self.hash(partial, upTo: offset, into: &state.hasher)
      guard ftruncate(partial.descriptor, off_t(clamping: offset)) == 0,
        lseek(partial.descriptor, off_t(clamping: offset), SEEK_SET) >= 0
      else { throw IorunError.system("cannot write", path, errno: errno) }
      state.file = consume partial
    }
    self.state = Mutex(state)
  }

  /// Appends bytes. Throws `malformed` for more than the file was said to have.
  func write(_ bytes: [UInt8]) throws {
    try state.withLock { state in
      guard state.file != nil, UInt64(bytes.count) <= size - state.position else {
        throw IorunError(.malformed, "more bytes than the file was said to have")
      }
      try state.file?.write(bytes)
      state.hasher.update(bytes)
      state.position += UInt64(bytes.count)
    }
  }

  /// Puts the file at its place where it is complete and has that digest. False where it has not;
  /// what there was of it is then removed.
  func finish(mode: mode_t, _ digest: Digest) throws -> Bool {
    try state.withLock { state in
      guard state.position == size, state.hasher.digest() == digest else {
        if state.file != nil { folder.remove(name, besides: path) }
        return false
      }
      if let file = state.file?.descriptor {
        try folder.place(name, file, at: path, mode: mode)
        state.file = nil
      } else {
        try folder.setMode(mode, of: path)
      }
      return true
    }
  }

  /// How much of a file is here: all of it at its place, or a part of it beside that.
  static func present(of path: String, size: UInt64, in folder: CopyFolder) throws
    -> (bytes: UInt64, isWhole: Bool, digest: Digest)
  {
    var hasher = RunningSHA256()
    if let status = try folder.status(of: path) {
      switch status.st_mode & S_IFMT {
      case S_IFREG where UInt64(max(0, status.st_size)) == size && size > 0:
        try hash(folder.openFile(path), upTo: size, into: &hasher)
        return (size, true, hasher.digest())
      case S_IFREG: break
      case S_IFLNK: break  // It is replaced, never followed.
      case S_IFDIR: throw IorunError(.fileSystem, "a folder stands at '\(path)'")
      default: throw IorunError(.fileSystem, "'\(path)' is there and no file")
      }
    }
    let (parent, _) = try CopyFolder.split(path)
    let partial = CopyFolder.join(parent, partialName(of: path, size: size))
    guard let status = try folder.status(of: partial), status.st_mode & S_IFMT == S_IFREG,
      status.st_size > 0, UInt64(status.st_size) <= size
    else { return (0, false, hasher.digest()) }
    let count = UInt64(status.st_size)
    try hash(folder.openFile(partial), upTo: count, into: &hasher)
    return (count, false, hasher.digest())
  }

  /// The same for the same file of the same size, so that a later copy finds it.
  private static func partialName(of path: String, size: UInt64) -> String {
    let digest = SHA256.digest(of: Array("\(size) \(path)".utf8))
    return CopySink.partialPrefix + digest.description.prefix(24)
  }

  private static func hash(
    _ file: borrowing OpenFile, upTo end: UInt64, into hasher: inout RunningSHA256
  ) throws {
    var position: UInt64 = 0
    while position < end {
      let bytes = try file.read(upTo: Int(min(1 << 20, end - position)), at: position)
      if bytes.isEmpty { return }
      hasher.update(bytes)
      position += UInt64(bytes.count)
    }
  }
}
