internal import Foundation
internal import IorunContent
internal import IorunCore
internal import IorunCrypto

/// The end of a copy that gets the files: says what it has of each, and puts what comes at its place
/// once its digest is right. See `CopyRecord`.
///
/// Whatever the source says, nothing is written outside of the folder, and no link is followed. A
/// file grows beside its place under another name; where the copy is cut off, the next one goes on
/// with that.
public struct CopySink: Sendable {
  /// What the names of files begin with that are not complete.
  public static let partialPrefix = ".iorun-partial-"

  private let root: String
  private let target: String
  private let givesAway: Bool
  private let progress: @Sendable (CopyProgress) -> Void

  /// Takes files to `target` below the folder `root`: a file goes into `target` where that is a
  /// folder, empty or ends with `/`, else it becomes `target`; what is in a folder goes into `target`.
  ///
  /// - Parameters:
  ///   - root: a folder; the way to it is trusted.
  ///   - target: below it, and never outside.
  ///   - givesAway: true where what is made belongs to the owner of `root`, not to this process's
  ///     user.
  ///   - progress: told now and then how far it is.
  public init(
    root: String, target: String, givesAway: Bool = false,
    progress: @escaping @Sendable (CopyProgress) -> Void = { _ in }
  ) {
    self.root = root
    self.target = target
    self.givesAway = givesAway
    self.progress = progress
  }

  /// Takes everything and returns what became of it.
  ///
  /// - Throws: `malformed` for what no honest source sends; `fileSystem`, `diskFull`; the reason where
  ///   the stream broke.
  public func run(over stream: any ByteStream) async throws -> CopyReport {
    let folder = try await Blocking.run { [root, givesAway] in
      try CopyFolder(root, givesAway: givesAway)
    }
    var records = CopyRecordReader(stream)
    guard case .root(let isFolder, let name) = try await records.next() else {
      throw IorunError(.malformed, "a copy begins with what it copies")
    }
    let place = try await Blocking.run { [target] in
      try Self.place(of: target, isFolder: isFolder, name: name, folder)
    }
    let desk = CopyDesk(folder: folder, place: place, isFolder: isFolder)
    var outbox = CopyOutbox(stream)
    while !(await desk.isComplete) {
      var record = try records.buffered()
      if record == nil {
        try await outbox.flush()
        record = try await records.next()
      }
      guard let record else {
        throw IorunError(.peerLost, "the other end of the copy ended early")
      }
      for answer in try await desk.take(record) { try await outbox.put(answer) }
      progress(await desk.progress)
    }
    try await outbox.put(.finished)
    try await outbox.flush()
    try await stream.finish()
    return await desk.report
  }

  /// Where the root of the copy comes to stand.
  private static func place(
    of target: String, isFolder: Bool, name: String, _ folder: CopyFolder
  ) throws -> String {
    let isWithin = target.hasSuffix("/")
    let target = String(target.reversed().drop { $0 == "/" }.reversed())
    guard target.isEmpty || RelativePath.parts(target) != nil else {
      throw CopyFolder.badPath(target)
    }
    if isFolder {
      try folder.makeFolder(target)
      return target
    }
    guard let parts = RelativePath.parts(name), parts.count == 1 else {
      throw CopyFolder.badPath(name)
    }
    let status = try folder.status(of: target)
    if isWithin || status.map({ $0.st_mode & S_IFMT == S_IFDIR }) == true {
      try folder.makeFolder(target)
      return CopyFolder.join(target, name)
    }
    try folder.makeFolder(try CopyFolder.split(target).parent)
    return target
  }
}
