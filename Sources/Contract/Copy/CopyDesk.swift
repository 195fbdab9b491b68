internal import Foundation
internal import IorunContent
internal import IorunCore
internal import IorunCrypto

/// A sink's books and its one file that is being written. One record after the other; the disk's work
/// is done on `Blocking`'s threads.
actor CopyDesk {
  private struct Wanted: Sendable {
    var path: String
    var shown: String
    var size: UInt64
    var mode: mode_t
    /// How much of it is at its place, or in its partial file.
    var present: UInt64
    /// True where the whole file stands at its place and only its digest is asked for.
    var isWhole: Bool
    var tries = 0
  }

  private let folder: CopyFolder
  private let place: String
  private let isFolder: Bool
  private var wanted: [UInt32: Wanted] = [:]
  private var known: Set<UInt32> = []
  private var entries = 0
  private var isListed = false
  private var current: UInt32?
  private var writer: CopyWriter?
  private var roomLeft: UInt64
  private(set) var report = CopyReport()
  private(set) var progress = CopyProgress()

  init(folder: CopyFolder, place: String, isFolder: Bool) {
    self.folder = folder
    self.place = place
    self.isFolder = isFolder
    roomLeft = folder.freeBytes()
  }

  /// True once all that was listed is done or given up.
  var isComplete: Bool { isListed && wanted.isEmpty }

  /// Does what a record asks for and returns the answers.
  func take(_ record: CopyRecord) async throws -> [CopyRecord] {
    switch record {
    case .folder(let path, let mode): return try await makeFolder(path, mode)
    case .file(let index, let size, let mode, let path):
      return try await want(index, size, mode_t(mode), path)
    case .refused(let path, let reason):
      try countEntry()
      report.refuse(path, reason)
      return []
    case .listed:
      isListed = true
      return []
    case .begin(let index, let offset):
      try await begin(index, at: offset)
      return []
    case .data(let bytes):
      try await write(bytes)
      return []
    case .end(let digest): return try await end(digest)
    case .gone(let index, let reason):
      guard let file = wanted.removeValue(forKey: index) else { throw Self.outOfTurn() }
      if current == index { (current, writer) = (nil, nil) }
      report.refuse(file.shown, reason)
      return []
    case .root, .want, .done, .failed, .finished: throw Self.outOfTurn()
    }
  }

  private static func outOfTurn() -> IorunError {
    IorunError(.malformed, "the source of a copy speaks out of turn")
  }

  private func countEntry() throws {
    entries += 1
    guard entries <= CopyLimits.entries, !isListed else {
      throw IorunError(
        .tooLarge, "a copy of more than \(CopyLimits.entries) files and folders",
        remedy: "Copy a part, or an archive")
    }
  }

  private func makeFolder(_ path: String, _ mode: UInt16) async throws -> [CopyRecord] {
    try countEntry()
    guard isFolder, RelativePath.parts(path) != nil else { throw CopyFolder.badPath(path) }
    report.folders += 1
    let whole = CopyFolder.join(place, path)
    do {
      try await Blocking.run { [folder] in try folder.makeFolder(whole, mode: mode_t(mode)) }
      return []
    } catch let error as IorunError { return refuse(path, error) }
  }

  private func refuse(_ path: String, _ error: IorunError) -> [CopyRecord] {
    report.refuse(path, error.message)
    return [.failed(path: path, reason: error.message)]
  }

  private func want(_ index: UInt32, _ size: UInt64, _ mode: mode_t, _ path: String) async throws
    -> [CopyRecord]
  {
    try countEntry()
    guard RelativePath.parts(path) != nil, isFolder || (index == 0 && !path.contains("/")) else {
      throw CopyFolder.badPath(path)
    }
    guard known.insert(index).inserted else { throw Self.outOfTurn() }
    guard size <= CopyLimits.fileSize.rawValue,
      progress.bytesTotal + size <= CopyLimits.totalSize.rawValue
    else {
      throw IorunError(.tooLarge, "'\(path)' is more than one copy may be")
    }
    progress.filesTotal += 1
    progress.bytesTotal += size
    let whole = isFolder ? CopyFolder.join(place, path) : place
    do {
      let present = try await Blocking.run { [folder] in
        try CopyWriter.present(of: whole, size: size, in: folder)
      }
      guard size - present.bytes <= roomLeft else {
        throw IorunError(.diskFull, "the disk has no room for '\(path)'")
      }
      roomLeft -= size - present.bytes
      wanted[index] = Wanted(
        path: whole, shown: path, size: size, mode: mode, present: present.bytes,
        isWhole: present.isWhole)
      return [.want(index: index, offset: present.bytes, digest: present.digest)]
    } catch let error as IorunError { return refuse(path, error) }
  }

  private func begin(_ index: UInt32, at offset: UInt64) async throws {
    guard let file = wanted[index], current == nil, offset == 0 || offset == file.present else {
      throw Self.outOfTurn()
    }
    current = index
    if offset == 0 { wanted[index]?.present = 0 }
    progress.bytesDone += offset
    writer = try await Blocking.run { [folder] in
      try CopyWriter(
        file.path, size: file.size, from: offset,
        isWhole: file.isWhole && offset == file.size
          && file.size > 0, in: folder)
    }
  }

  private func write(_ bytes: [UInt8]) async throws {
    guard let writer else { throw Self.outOfTurn() }
    try await Blocking.run { try writer.write(bytes) }
    progress.bytesDone += UInt64(bytes.count)
  }

  private func end(_ digest: Digest) async throws -> [CopyRecord] {
    guard let index = current, let file = wanted[index], let writer else { throw Self.outOfTurn() }
    (current, self.writer) = (nil, nil)
    do {
      guard try await Blocking.run({ try writer.finish(mode: file.mode, digest) }) else {
        guard file.tries == 0 else {
          throw IorunError(.malformed, "it changed while it was copied")
        }
        // What was here before was not what it looked like: all of it, once more.
        wanted[index]?.tries = 1
        wanted[index]?.isWhole = false
        wanted[index]?.present = 0
        progress.bytesDone -= min(progress.bytesDone, file.size)
        return [.want(index: index, offset: 0, digest: SHA256.digest(of: []))]
      }
    } catch let error as IorunError {
      wanted[index] = nil
      return refuse(file.shown, error)
    }
    wanted[index] = nil
    report.files += 1
    report.bytes += file.size
    let resumed = wasResumed(file)
    report.resumedBytes += resumed
    progress.filesDone += 1
    return [.done(index: index, resumedBytes: resumed)]
  }

  private func wasResumed(_ file: Wanted) -> UInt64 { min(file.present, file.size) }
}
