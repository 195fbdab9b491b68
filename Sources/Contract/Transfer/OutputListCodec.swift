public import IorunContent
internal import IorunCore

/// Lists of outputs as bytes: a manifest of regular files, by the same strict rules, because what
/// is decoded was written by a node that may be anybody's.
public enum OutputListCodec {
  /// Encodes the files that a rank left, sorted by path as ``OutputGlob`` finds them. Throws
  /// `specInvalid` where the list is larger than ``ContentLimits/manifestSize``.
  public static func encode(_ files: [OutputGlob.File]) throws -> [UInt8] {
    let entries = files.map { file in
      Manifest.Entry(
        path: file.path, kind: .file(content: file.content, executable: file.executable))
    }
    do {
      return try ManifestCodec.encode(Manifest(entries: entries))
    } catch let error as IorunError where error.code == .specInvalid {
      throw IorunError(
        .specInvalid, "the list of the outputs is larger than \(ContentLimits.manifestSize)",
        remedy: "Name fewer files, or pack them together at the end of the job")
    }
  }

  /// Decodes and checks the list of `rank`; its files are sorted by path. Throws `malformed`.
  public static func decode(_ bytes: [UInt8], rank: Int) throws -> [OutputFile] {
    try ManifestCodec.decode(bytes).entries.map { entry in
      guard case .file(let content, let executable) = entry.kind else {
        throw IorunError(
          .malformed, "the output '\(entry.path.prefix(200))' of rank \(rank) is no regular file")
      }
      return OutputFile(rank: rank, path: entry.path, content: content, executable: executable)
    }
  }
}
