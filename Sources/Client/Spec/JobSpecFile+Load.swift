internal import Foundation
internal import IorunCore

extension JobSpecFile {
  /// Reads the spec file at `path`: one small blocking read, so not for the cooperative pool.
  ///
  /// Throws `fileMissing` where there is none, `fileSystem` where it cannot be read, and
  /// `specInvalid` for everything that is wrong with what it says.
  public static func load(path: String) throws -> JobSpecFile {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw IorunError(
        .fileMissing, "there is no file '\(path)'",
        remedy: "Name a job spec, or put a command after `--` to run one without a spec")
    }
    // A pipe or a device would block or never end.
    let type = try? FileManager.default.attributesOfItem(
      atPath: URL(fileURLWithPath: path).resolvingSymlinksInPath().path)[.type]
    guard type as? FileAttributeType == .typeRegular else {
      throw IorunError(
        .specInvalid, "\(path): this is \(isFolder.boolValue ? "a folder" : "not a regular file")",
        remedy: "Name the spec file itself, for example \(path)/job.yaml")
    }
    let data: Data
    do {
      let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? handle.close() }
      data = try handle.read(upToCount: Int(maximumSize.rawValue) + 1) ?? Data()
    } catch {
      throw IorunError(
        .fileSystem, "\(path) cannot be read", remedy: "Check that you may read it", cause: error)
    }
    guard let yaml = String(validating: data, as: UTF8.self) else {
      throw IorunError(
        .specInvalid, "\(path): this is not UTF-8 text",
        remedy: "Save the file as UTF-8; a job spec is a YAML text")
    }
    return try parse(yaml: yaml, file: path)
  }
}
