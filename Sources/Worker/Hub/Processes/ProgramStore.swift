internal import Foundation
import IorunContent
import IorunContract
internal import IorunCore
internal import IorunWire

/// The programs of Swift drivers, on the nodes that do not have them at the driver's path: the driver's
/// node gives its own to the head's chunks, once, and the others fetch from there what they lack.
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
  /// - Throws: `fileMissing`, `fileSystem`; as `ContentUploader`.
  func offer(_ path: String) async throws -> Blob {
    let attributes: [FileAttributeKey: Any]
    do {
      attributes = try FileManager.default.attributesOfItem(atPath: path)
    } catch {
      throw IorunError(.fileMissing, "the program \(path) is not there any more", cause: error)
    }
    let stamp = Stamp(
      path: path, size: (attributes[.size] as? NSNumber)?.intValue ?? 0,
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
}
