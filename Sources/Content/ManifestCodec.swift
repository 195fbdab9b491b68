internal import Foundation
internal import IorunCore

/// Manifests as bytes: JSON with sorted keys, so that equal folders have equal bytes. What is
/// decoded may come from anybody and is checked in full before anything acts on it.
public enum ManifestCodec {
  /// Encodes a manifest. Throws `specInvalid` where its encoding is larger than
  /// ``ContentLimits/manifestSize``.
  public static func encode(_ manifest: Manifest) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let bytes = [UInt8](try encoder.encode(manifest))
    guard Bytes(UInt64(bytes.count)) <= ContentLimits.manifestSize else {
      throw IorunError(
        .specInvalid, "the folder's list of files is larger than \(ContentLimits.manifestSize)",
        remedy: "List what the job does not need in .iorunignore, or pack small files together")
    }
    return bytes
  }

  /// Decodes and checks a manifest. Throws `malformed`, saying which path is wrong and why.
  public static func decode(_ bytes: [UInt8]) throws -> Manifest {
    guard Bytes(UInt64(bytes.count)) <= ContentLimits.manifestSize else {
      throw IorunError(.malformed, "a manifest is larger than \(ContentLimits.manifestSize)")
    }
    let manifest: Manifest
    do {
      manifest = try JSONDecoder().decode(Manifest.self, from: Data(bytes))
    } catch {
      throw IorunError(.malformed, "a manifest cannot be read", cause: error)
    }
    try check(manifest)
    return manifest
  }

  /// Refuses, as `malformed`, a manifest that no ``ManifestBuilder`` makes: paths that lead out of
  /// the folder, come twice, are out of order or pass through a file; links that lead out; sizes
  /// that do not fit the chunks; more than ``ContentLimits`` allows.
  public static func check(_ manifest: Manifest) throws {
    guard manifest.entries.count <= ContentLimits.entries else {
      throw IorunError(.malformed, "a manifest has more than \(ContentLimits.entries) entries")
    }
    var total = Bytes.zero
    // As bytes: `String` takes names that merely look alike for equal.
    var paths = Set<[UInt8]>(minimumCapacity: manifest.entries.count)
    var last: String?
    for entry in manifest.entries {
      guard RelativePath.parts(entry.path) != nil else {
        throw refusal(entry, "is not a path below a folder")
      }
      if let last, !RelativePath.isOrdered(last, before: entry.path) {
        throw refusal(entry, "is out of order or comes twice")
      }
      last = entry.path
      paths.insert(Array(entry.path.utf8))
      switch entry.kind {
      case .file(let content, _):
        try content.check(maximum: ContentLimits.folderSize - total)
        total = total + content.size
      case .symbolicLink(let target):
        guard RelativePath.staysBelow(linkAt: entry.path, target: target) else {
          throw refusal(entry, "is a symbolic link that leads out of the folder")
        }
      }
    }
    for entry in manifest.entries {
      let path = Array(entry.path.utf8)
      for index in path.indices where path[index] == UInt8(ascii: "/") {
        guard !paths.contains(Array(path[..<index])) else {
          throw refusal(entry, "passes through an entry that is not a folder")
        }
      }
    }
  }

  private static func refusal(_ entry: Manifest.Entry, _ what: String) -> IorunError {
    IorunError(.malformed, "a manifest's path '\(entry.path.prefix(200))' \(what)")
  }
}
