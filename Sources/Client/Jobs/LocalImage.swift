internal import Foundation
internal import IorunContent
public import IorunCore

/// An image on the buyer's own machine, to travel with a job: an OCI image layout (image-spec 1.0,
/// image-layout.md), as a folder or as a tar archive of one, which `docker save`, `podman save
/// --format oci-archive` and `skopeo copy` write. The nodes check every digest; here only the index is
/// read.
public final class LocalImage: Sendable {
  /// The folder or archive, as it was named.
  public let path: String
  /// What the job's spec says of it.
  public let reference: ImageReference
  private let folder: String
  /// Where an archive was unpacked; `nil` for a folder. Removed with this.
  private let temporary: String?

  private struct Index: Decodable {
    struct Entry: Decodable {
      var digest: String
    }
    var manifests: [Entry]
  }

  /// The image that a spec names, where that is a path: relative to `folder`, or absolute. Blocks.
  ///
  /// - Returns: `nil` for an image of a registry.
  /// - Throws: `fileMissing` where there is nothing; `imageInvalid` for what is no layout with one image.
  public static func find(_ text: String, near folder: String) throws -> LocalImage? {
    if (try? ImageReference(text)) != nil { return nil }
    let path = text.hasPrefix("/") ? text : folder + "/" + text
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw IorunError(
        .fileMissing, "there is no image layout at '\(path)'",
        remedy:
          "Name an OCI layout or its archive, or HOST/NAME@sha256:DIGEST: a tag may change, so "
          + "a registry's image is named by its digest")
    }
    return try LocalImage(path: path, isFolder: isFolder.boolValue)
  }

  private init(path: String, isFolder: Bool) throws {
    self.path = path
    if isFolder {
      (folder, temporary) = (path, nil)
    } else {
      let unpacked = NSTemporaryDirectory() + "iorun-image-\(UUID().uuidString)"
      (folder, temporary) = (unpacked, unpacked)
      try Self.unpack(path, into: unpacked)
    }
    let index: Index
    do {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/index.json"))
      index = try JSONDecoder().decode(Index.self, from: bytes)
    } catch {
      if let temporary { try? FileManager.default.removeItem(atPath: temporary) }
      throw IorunError(
        .imageInvalid, "'\(path)' is no OCI image layout",
        remedy: "Make one, for example: skopeo copy docker://NAME oci:FOLDER", cause: error)
    }
    guard index.manifests.count == 1, let text = index.manifests.first?.digest,
      text.hasPrefix("sha256:"), let digest = Digest(String(text.dropFirst(7)))
    else {
      if let temporary { try? FileManager.default.removeItem(atPath: temporary) }
      throw IorunError(
        .imageInvalid, "the layout '\(path)' has \(index.manifests.count) images",
        remedy: "Make a layout of the one that the job needs")
    }
    reference = ImageReference(layout: digest)
  }

  deinit {
    if let temporary { try? FileManager.default.removeItem(atPath: temporary) }
  }

  /// The layout's files, to be sent with the job's own: below ``ImageReference/layoutFolder``. Blocks.
  /// Throws as ``ManifestBuilder``.
  func snapshot() throws -> FolderSnapshot {
    try ManifestBuilder.build(folder: folder).placed(below: ImageReference.layoutFolder) { entry in
      guard case .file = entry.kind else { return false }
      return entry.path == "index.json" || entry.path.hasPrefix("blobs/sha256/")
    }
  }

  /// By tar, which refuses paths that lead out.
  private static func unpack(_ archive: String, into folder: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      let tar = Process()
      tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      tar.arguments = [
        "tar", "--extract", "--file", archive, "--directory", folder, "--no-same-owner",
        "--no-same-permissions",
      ]
      tar.standardError = FileHandle.nullDevice
      try tar.run()
      tar.waitUntilExit()
      guard tar.terminationStatus == 0 else { throw CocoaError(.fileReadCorruptFile) }
    } catch {
      try? FileManager.default.removeItem(atPath: folder)
      throw IorunError(
        .imageInvalid, "'\(archive)' is no archive of an OCI image layout",
        remedy: "Make one, for example: skopeo copy docker://NAME oci-archive:FILE", cause: error)
    }
  }
}
