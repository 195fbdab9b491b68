internal import Foundation
import IorunContent
import IorunContract
internal import IorunCore
internal import IorunWire

/// The programs of Swift drivers, and the folders in which they work, on the nodes that do not have them:
/// the driver's node gives its own to the head's chunks, once, and the others fetch from there what they
/// lack.
///
/// A program is named by its content. Two jobs of one build share a file.
actor ProgramStore {
  /// A file as it was when it was read.
  private struct Stamp: Hashable {
    var path: String
    var size: Int
    var modified: Date
  }

  /// The name of a program within its folder.
  private static let name = "program"

  private let endpoint: any ContentEndpoint
  private let cache: ChunkStore?
  private let folder: String
  private var offered: [Stamp: Task<Blob, any Error>] = [:]
  private var fetched: [Digest: Task<String, any Error>] = [:]
  private var offeredFolders: [String: Task<Blob, any Error>] = [:]
  private var fetchedFolders: [String: Task<Void, any Error>] = [:]
  /// Programs that changed while they were read are few; more than these are forgotten.
  private static let offeredLimit = 64

  /// Programs of other nodes are kept below `folder`.
  init(endpoint: any ContentEndpoint, cache: ChunkStore?, folder: String) {
    self.endpoint = endpoint
    self.cache = cache
    self.folder = folder
  }

  /// Gives a program of this machine to the head's chunks; what `present` fetches elsewhere.
  ///
  /// - Parameter name: what it is remembered as, where `path` means another file tomorrow.
  /// - Throws: `fileMissing`, `fileSystem`; as `ContentUploader`.
  func offer(_ path: String, as name: String? = nil) async throws -> Blob {
    let attributes: [FileAttributeKey: Any]
    do {
      attributes = try FileManager.default.attributesOfItem(atPath: path)
    } catch {
      throw IorunError(.fileMissing, "the program \(path) is not there any more", cause: error)
    }
    let stamp = Stamp(
      path: name ?? path, size: (attributes[.size] as? NSNumber)?.intValue ?? 0,
      modified: attributes[.modificationDate] as? Date ?? .distantPast)
    if let task = offered[stamp] { return try await task.value }
    let uploader = ContentUploader(to: endpoint)
    let task = Task {
      let snapshot = try await Blocking.run {
        try ManifestBuilder.build(executable: path, at: Self.name)
      }
      try await uploader.upload(snapshot.source)
      return try await uploader.upload(
        try await Blocking.run { try ManifestCodec.encode(snapshot.manifest) })
    }
    if offered.count >= Self.offeredLimit { offered = [:] }
    offered[stamp] = task
    do {
      return try await task.value
    } catch {
      offered[stamp] = nil
      throw error
    }
  }

  /// The path of a program that another node has offered; fetched where it is not here yet.
  ///
  /// - Throws: as `ContentDownloader`.
  func present(_ program: Blob) async throws -> String {
    guard let digest = program.chunks.first, program.chunks.count == 1 else {
      throw IorunError(.malformed, "a program's manifest is no single chunk")
    }
    if let task = fetched[digest] { return try await task.value }
    let (endpoint, cache) = (endpoint, cache)
    let place = "\(folder)/\(digest)"
    let task = Task {
      let path = "\(place)/\(Self.name)"
      if access(path, X_OK) == 0 { return path }
      let draft = "\(place).\(UUID().uuidString.prefix(8))"
      let parent = (place as NSString).deletingLastPathComponent
      try await Blocking.run {
        try FileManager.default.createDirectory(
          atPath: parent, withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o700])
      }
      do {
        try await ContentDownloader(from: endpoint, cache: cache).download(
          folder: program, into: draft)
        try await Blocking.run { try FileManager.default.moveItem(atPath: draft, toPath: place) }
      } catch {
        // An earlier run of the node may have put it there meanwhile.
        try? FileManager.default.removeItem(atPath: draft)
        guard access(path, X_OK) == 0 else { throw error }
      }
      return path
    }
    fetched[digest] = task
    do {
      return try await task.value
    } catch {
      fetched[digest] = nil
      throw error
    }
  }

  // MARK: Working folders

  /// Gives a folder of this machine to the head's chunks. `name` is that of the environment: it changes
  /// with what is in the folder.
  ///
  /// - Throws: as `ManifestBuilder.build(folder:)` and `ContentUploader`.
  func offer(folder path: String, as name: String) async throws -> Blob {
    if let task = offeredFolders[name] { return try await task.value }
    let uploader = ContentUploader(to: endpoint)
    let task = Task {
      let snapshot = try await Blocking.run { try ManifestBuilder.build(folder: path) }
      try await uploader.upload(snapshot.source)
      return try await uploader.upload(
        try await Blocking.run { try ManifestCodec.encode(snapshot.manifest) })
    }
    if offeredFolders.count >= Self.offeredLimit { offeredFolders = [:] }
    offeredFolders[name] = task
    do {
      return try await task.value
    } catch {
      offeredFolders[name] = nil
      throw error
    }
  }

  /// Makes a copy of a folder that another node has offered, at `place`, unless it is there. Those who
  /// want the same place meanwhile wait for one copy.
  ///
  /// - Parameter user: whose everything in it is; `nil`: this process's.
  /// - Throws: as `source` and `ContentDownloader`.
  func present(
    folderAt place: String, owner user: UInt32? = nil,
    _ source: @escaping @Sendable () async throws -> Blob
  ) async throws {
    if let task = fetchedFolders[place] { return try await task.value }
    let (endpoint, cache) = (endpoint, cache)
    let task = Task {
      if access(place, X_OK) == 0 { return }
      let draft = "\(place).\(UUID().uuidString.prefix(8))"
      do {
        try await ContentDownloader(from: endpoint, cache: cache).download(
          folder: try await source(), into: draft)
        try await Blocking.run {
          // Before anybody who may not be trusted finds it: no link in it leads elsewhere yet.
          if let user { SealedRanks.give(draft, to: user) }
          try FileManager.default.moveItem(atPath: draft, toPath: place)
        }
      } catch {
        try? FileManager.default.removeItem(atPath: draft)
        throw error
      }
    }
    fetchedFolders[place] = task
    // What is there is found there: only one that is under way must be known here.
    defer { fetchedFolders[place] = nil }
    try await task.value
  }
}
