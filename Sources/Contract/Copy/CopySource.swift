internal import Foundation
internal import IorunContent
internal import IorunCore
internal import IorunCrypto
internal import Synchronization

/// The end of a copy that has the files: lists them, and sends what the other end lacks. See
/// `CopyRecord`.
public struct CopySource: Sendable {
  private struct File: Sendable {
    var path: String
    var size: UInt64
  }

  private let root: String
  private let path: String
  private let progress: @Sendable (CopyProgress) -> Void

  /// Sends what stands at `path` below the folder `root`.
  ///
  /// - Parameters:
  ///   - root: a folder; the way to it is trusted.
  ///   - path: below it, and never outside; empty for the folder itself.
  ///   - progress: told now and then how far it is.
  public init(
    root: String, path: String, progress: @escaping @Sendable (CopyProgress) -> Void = { _ in }
  ) {
    self.root = root
    self.path = path
    self.progress = progress
  }

  /// Sends everything and returns what became of it.
  ///
  /// - Throws: `fileMissing` or `fileSystem` where nothing can be read at the path; `tooLarge`; the
  ///   reason where the stream broke.
  public func run(over stream: any ByteStream) async throws -> CopyReport {
    let (folder, isFolder) = try await Blocking.run { [root, path] in
      let folder = try CopyFolder(root)
      guard path.isEmpty || RelativePath.parts(path) != nil else { throw CopyFolder.badPath(path) }
      guard let status = try folder.status(of: path) else {
        throw IorunError(.fileMissing, "nothing stands at '\(path)'", remedy: "Check the path")
      }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: return (folder, true)
      case S_IFREG: return (folder, false)
      default:
        throw IorunError(
          .fileSystem,
          "'\(path)' is \(Self.kind(status.st_mode)), and only files and folders are copied",
          remedy: "Name the file or folder itself")
      }
    }
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    try await stream.write(CopyRecord.root(isFolder: isFolder, name: name).encoded)
    let (wants, queue) = AsyncStream.makeStream(of: CopyRecord.self)
    let tally = Tally()
    return try await withThrowingTaskGroup { group in
      // What the other side says is always read, so that neither waits for the other. It is bounded:
      // `Tally` takes no more than what was listed.
      group.addTask {
        defer { queue.finish() }
        var records = CopyRecordReader(stream)
        while let record = try await records.next() {
          if case .finished = record { return }
          try tally.take(record)
          progress(tally.progress)
          queue.yield(record)
        }
        throw IorunError(.peerLost, "the other end of the copy ended early")
      }
      group.addTask {
        var outbox = CopyOutbox(stream)
        try await list(folder, isFolder: isFolder, name: name, &outbox, tally)
        try await outbox.put(.listed)
        try await outbox.flush()
        for await record in wants {
          guard case .want(let index, let offset, let digest) = record else { continue }
          try await send(tally.file(index), index, from: offset, digest, folder, &outbox, tally)
          if !tally.hasMoreAfterServing() { try await outbox.flush() }
        }
      }
      try await group.waitForAll()
      try await stream.finish()
      return tally.report
    }
  }

  // MARK: Listing

  private func list(
    _ folder: CopyFolder, isFolder: Bool, name: String, _ outbox: inout CopyOutbox, _ tally: Tally
  ) async throws {
    guard isFolder else {
      let status = try await Blocking.run { [path] in try folder.openFile(path).status() }
      return try await announce(name, path, status, &outbox, tally)
    }
    var waiting = [""]
    while let below = waiting.popLast() {
      let place = CopyFolder.join(path, below)
      let names = try await Blocking.run { try folder.names(in: place) }
      for name in names {
        guard let name else {
          try await refuse(below + "/?", "its name is not UTF-8", &outbox, tally)
          continue
        }
        // What a copy that was cut off left.
        if name.hasPrefix(CopySink.partialPrefix) { continue }
        let below = CopyFolder.join(below, name)
        let whole = CopyFolder.join(path, below)
        guard RelativePath.parts(below) != nil, RelativePath.parts(whole) != nil else {
          try await refuse(String(below.prefix(200)), "its path is too long", &outbox, tally)
          continue
        }
        guard let status = try await Blocking.run({ try folder.status(of: whole) }) else {
          continue
        }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
          try tally.countEntry()
          tally.update { $0.folders += 1 }
          try await outbox.put(.folder(path: below, mode: UInt16(status.st_mode & 0o777)))
          waiting.append(below)
        case S_IFREG: try await announce(below, whole, status, &outbox, tally)
        default:
          try await refuse(below, "it is \(Self.kind(status.st_mode))", &outbox, tally)
        }
      }
    }
  }

  private func announce(
    _ below: String, _ whole: String, _ status: stat, _ outbox: inout CopyOutbox, _ tally: Tally
  ) async throws {
    let size = UInt64(max(0, status.st_size))
    guard size <= CopyLimits.fileSize.rawValue else {
      return try await refuse(below, "it is larger than \(CopyLimits.fileSize)", &outbox, tally)
    }
    let index = try tally.add(File(path: whole, size: size), shown: below)
    try await outbox.put(
      .file(
        index: index, size: size, mode: UInt16(status.st_mode & 0o777), path: below
      ))
  }

  private func refuse(
    _ path: String, _ reason: String, _ outbox: inout CopyOutbox, _ tally: Tally
  ) async throws {
    try tally.countEntry()
    tally.update { $0.refuse(path, reason) }
    try await outbox.put(.refused(path: path, reason: reason))
  }

  static func kind(_ mode: mode_t) -> String {
    switch mode & S_IFMT {
    case S_IFLNK: "a symbolic link"
    case S_IFIFO: "a named pipe"
    case S_IFSOCK: "a socket"
    case S_IFCHR, S_IFBLK: "a device"
    default: "no file"
    }
  }

  // MARK: Sending

  private func send(
    _ file: File, _ index: UInt32, from offset: UInt64, _ digest: Digest, _ folder: CopyFolder,
    _ outbox: inout CopyOutbox, _ tally: Tally
  ) async throws {
    let reader: FileReader
    do {
      reader = try await Blocking.run {
        try FileReader(folder.openFile(file.path), size: file.size, known: offset, digest)
      }
    } catch let error as IorunError {
      tally.gone(index, error.message)
      return try await outbox.put(.gone(index: index, reason: error.message))
    }
    try await outbox.put(.begin(index: index, offset: reader.start))
    while let bytes = try await Blocking.run({ try reader.next() }) {
      try await outbox.put(.data(bytes))
      tally.sent(bytes.count)
      progress(tally.progress)
    }
    if reader.isShort {
      let reason = "it became shorter while it was copied"
      tally.gone(index, reason)
      try await outbox.put(.gone(index: index, reason: reason))
    } else {
      try await outbox.put(.end(reader.digest()))
    }
  }

  /// One file on its way; used by one piece of work after the other.
  private final class FileReader: Sendable {
    private struct State: ~Copyable, Sendable {
      let file: OpenFile
      var hasher = RunningSHA256()
      var position: UInt64 = 0
      var isShort = false
    }

    let start: UInt64
    private let size: UInt64
    private let state: Mutex<State>

    /// Goes on at `known`, where the bytes before it have that digest, else at the start.
    init(_ file: consuming OpenFile, size: UInt64, known: UInt64, _ digest: Digest) throws {
      self.size = size
      var state = State(file: file)
      if known > 0, known <= size {
        while state.position < known {
          let bytes = try Self.read(&state, upTo: known)
          if bytes.isEmpty { break }
        }
      }
      if state.position == known, known > 0, state.hasher.digest() == digest {
        start = known
      } else {
        start = 0
        state.hasher = RunningSHA256()
        state.position = 0
      }
      self.state = Mutex(state)
    }

    var isShort: Bool { state.withLock { $0.isShort } }
    func digest() -> Digest { state.withLock { $0.hasher.digest() } }

    func next() throws -> [UInt8]? {
      try state.withLock { state in
        guard state.position < size else { return nil }
        let bytes = try Self.read(&state, upTo: size)
        if bytes.isEmpty { state.isShort = true }
        return bytes.isEmpty ? nil : bytes
      }
    }

    private static func read(_ state: inout State, upTo end: UInt64) throws -> [UInt8] {
      let count = min(CopyRecord.pieceBytes, Int(clamping: end - state.position))
      let bytes = try state.file.read(upTo: count, at: state.position)
      state.hasher.update(bytes)
      state.position += UInt64(bytes.count)
      return bytes
    }
  }

  // MARK: Books

  /// What was listed, and what became of it.
  private final class Tally: Sendable {
    private struct State {
      var files: [File] = []
      var shown: [String] = []
      var wanted: [UInt8] = []
      var unserved = 0
      var entries = 0
      var report = CopyReport()
      var progress = CopyProgress()
    }

    private let state = Mutex(State())

    var report: CopyReport { state.withLock { $0.report } }
    var progress: CopyProgress { state.withLock { $0.progress } }

    func update(_ change: (inout sending CopyReport) -> Void) {
      state.withLock { change(&$0.report) }
    }

    func countEntry() throws {
      try state.withLock { state in
        state.entries += 1
        guard state.entries <= CopyLimits.entries else {
          throw IorunError(
            .tooLarge, "more than \(CopyLimits.entries) files and folders",
            remedy: "Pack them into an archive, or copy a part")
        }
      }
    }

    func add(_ file: File, shown: String) throws -> UInt32 {
      try countEntry()
      return try state.withLock { state in
        state.files.append(file)
        state.shown.append(shown)
        state.wanted.append(0)
        state.progress.filesTotal += 1
        state.progress.bytesTotal += file.size
        guard state.progress.bytesTotal <= CopyLimits.totalSize.rawValue else {
          throw IorunError(
            .tooLarge, "the files are larger than \(CopyLimits.totalSize) together",
            remedy: "Copy a part")
        }
        return UInt32(state.files.count - 1)
      }
    }

    func file(_ index: UInt32) -> File { state.withLock { $0.files[Int(index)] } }

    /// One wish is served; true where another one waits.
    func hasMoreAfterServing() -> Bool {
      state.withLock { state in
        state.unserved -= 1
        return state.unserved > 0
      }
    }

    func sent(_ count: Int) { state.withLock { $0.progress.bytesDone += UInt64(count) } }

    func gone(_ index: UInt32, _ reason: String) {
      state.withLock { $0.report.refuse($0.shown[Int(index)], reason) }
    }

    /// Checks and counts what the sink said. A file may be wanted twice: a second time from its start.
    func take(_ record: CopyRecord) throws {
      try state.withLock { state in
        switch record {
        case .want(let index, let offset, _):
          let place = Int(index)
          guard state.files.indices.contains(place), state.wanted[place] < 2,
            offset <= state.files[place].size
          else { throw IorunError(.malformed, "the other end of a copy wants what was not listed") }
          state.wanted[place] += 1
          state.unserved += 1
        case .done(let index, let resumed):
          guard state.files.indices.contains(Int(index)) else {
            throw IorunError(.malformed, "the other end of a copy has what was not listed")
          }
          let size = state.files[Int(index)].size
          state.report.files += 1
          state.report.bytes += size
          state.report.resumedBytes += min(resumed, size)
          state.progress.filesDone += 1
          state.progress.bytesDone += min(resumed, size)
        case .failed(let path, let reason): state.report.refuse(path, reason)
        default: throw IorunError(.malformed, "the other end of a copy speaks out of turn")
        }
      }
    }
  }
}
