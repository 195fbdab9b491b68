internal import Foundation
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// What tasks and actors find around them: variables and a current folder. Tasks and actors of
/// different environments never share a process.
public struct RuntimeEnvironment: Sendable, Hashable {
  /// Environment variables, on top of the driver's.
  public var variables: [String: String]
  /// A folder of the submitting process that is to be the current one. It travels along, and each
  /// environment has a copy of its own on each other node: one of up to 48 KiB within the environment,
  /// a larger one through the head's chunks, without what its `.iorunignore` names. Calls in a row with
  /// the same options have it as it was at the first of them.
  public var workingFolder: String?

  /// Describes an environment.
  public init(variables: [String: String] = [:], workingFolder: String? = nil) {
    self.variables = variables
    self.workingFolder = workingFolder
  }

  /// What travels to the worker: one variable of its environment.
  struct Document: Codable, Sendable {
    struct File: Codable, Sendable {
      var path: String
      var content: Data
      var isExecutable: Bool
    }
    struct Folder: Codable, Sendable {
      var path: String
      /// `nil` where there are too many for this document: they come from `node`.
      var files: [File]?
      /// The node on which the folder lies, in hex.
      var node: String?
      /// Changes with what is in the folder, so that no worker stays in an earlier state of it.
      var stamp: String?
    }

    enum CodingKeys: String, CodingKey {
      case variables = "env_vars"
      case workingFolder = "working_dir"
    }

    var variables: [String: String]
    var workingFolder: Folder?
  }

  /// Linux takes at most 128 KiB in one variable of a process's environment.
  static let textLimit = 100 * 1024
  static let folderLimit = 48 * 1024
  private static let fileLimit = 1000

  /// The hash and the text that go into demands; both empty for the plain environment.
  ///
  /// `node` is this process's.
  ///
  /// - Throws: `specInvalid` for a folder that is not there or a variable that cannot be; `tooLarge`.
  func encoded(on node: NodeID) throws -> (hash: String, text: String) {
    if variables.isEmpty, workingFolder == nil { return ("", "") }
    for (name, value) in variables
    where name.isEmpty || name.contains("=") || (name + value).utf8.contains(0)
      || name.hasPrefix("IORUN_")
    {
      throw IorunError(
        .specInvalid, "'\(name.prefix(64))' cannot be a variable of a runtime environment",
        remedy: "Names are not empty, hold no '=' and do not begin with IORUN_")
    }
    let document = Document(
      variables: variables, workingFolder: try workingFolder.map { try Self.folder($0, on: node) })
    let coder = JSONEncoder()
    coder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let text = String(decoding: try coder.encode(document), as: UTF8.self)
    guard text.utf8.count <= Self.textLimit else {
      throw IorunError(
        .tooLarge, "the runtime environment takes \(text.utf8.count) bytes as text",
        remedy: "At most \(Self.textLimit) are possible: put large values into a file")
    }
    return (Self.digest(text), text)
  }

  private static func folder(_ path: String, on node: NodeID) throws -> Document.Folder {
    let root = URL(fileURLWithPath: path, isDirectory: true).standardizedFileURL
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: root.path, isDirectory: &isFolder),
      isFolder.boolValue
    else {
      throw IorunError(.specInvalid, "the working folder \(path) is no folder of this machine")
    }
    let found = try files(below: root)
    if found.count <= fileLimit, found.reduce(0, { $0 + $1.size }) <= folderLimit {
      let files = try found.map { file in
        Document.File(
          path: file.name, content: try Data(contentsOf: root.appendingPathComponent(file.name)),
          isExecutable: access(root.appendingPathComponent(file.name).path, X_OK) == 0)
      }
      return Document.Folder(path: root.path, files: files)
    }
    let states = found.map { "\($0.name)\u{0}\($0.size)\u{0}\($0.modified)" }
    return Document.Folder(
      path: root.path, node: node.description, stamp: digest(states.joined(separator: "\u{0}")))
  }

  /// The regular files of a folder, by name.
  private static func files(below root: URL) throws -> [(name: String, size: Int, modified: Double)]
  {
    var files: [(name: String, size: Int, modified: Double)] = []
    let names = FileManager.default.enumerator(atPath: root.path)
    while let name = names?.nextObject() as? String {
      let values = try root.appendingPathComponent(name).resourceValues(
        forKeys: [.isRegularFileKey, .fileSizeKey, .contentModificationDateKey])
      guard values.isRegularFile == true else { continue }
      let modified = values.contentModificationDate?.timeIntervalSince1970 ?? 0
      files.append((name, values.fileSize ?? 0, modified))
    }
    return files.sorted { $0.name < $1.name }
  }

  /// Tells environments of one job apart; nobody is to be kept from making two that collide, so two
  /// FNV-1a hashes do (http://www.isthe.com/chongo/tech/comp/fnv, 64 bits).
  private static func digest(_ text: String) -> String {
    let offsets: [UInt64] = [0xcbf2_9ce4_8422_2325, 0x6c62_272e_07bb_0142]
    return offsets.map { offset in
      let hash = text.utf8.reduce(offset) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
      let digits = String(hash, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    .joined()
  }

  // MARK: In the worker

  private static let applied = Mutex((hash: "", text: ""))

  /// The environment of this process, as demands have it.
  static var own: (hash: String, text: String) { applied.withLock { $0 } }

  /// Makes the environment that this process was started for its own. Before any other thread runs:
  /// variables are the whole process's.
  ///
  /// - Throws: `malformed`, `environmentFailed`.
  static func apply(_ environment: [String: String]) throws {
    guard let text = environment["IORUN_ENVIRONMENT"], !text.isEmpty else { return }
    let document: Document
    do {
      document = try JSONDecoder().decode(Document.self, from: Data(text.utf8))
    } catch {
      throw IorunError(.malformed, "the runtime environment is no document", cause: error)
    }
    let hash = environment["IORUN_ENVIRONMENT_HASH"] ?? digest(text)
    applied.withLock { $0 = (hash, text) }
    for (name, value) in document.variables { setenv(name, value, 1) }
    guard let folder = document.workingFolder else { return }
    var path = folder.path
    if let files = folder.files {
      let place = environment["IORUN_DIRECTORY"] ?? NSTemporaryDirectory()
      path = "\(place)/folder-\(hash.prefix(32))"
      try unpack(files, into: path)
    } else if let copy = environment["IORUN_FOLDER"] {
      // The agent has brought it from the node where it lies.
      path = copy
    }
    guard chdir(path) == 0 else {
      throw IorunError(
        .environmentFailed, "the working folder \(path) is not on this node",
        remedy: "Do not remove it while the program runs")
    }
  }

  /// Workers of one environment share the folder; the first one to be done has made it.
  private static func unpack(_ files: [Document.File], into folder: String) throws {
    let manager = FileManager.default
    guard !manager.fileExists(atPath: folder) else { return }
    let draft = "\(folder).\(getpid())"
    do {
      try manager.createDirectory(atPath: draft, withIntermediateDirectories: true)
      for file in files {
        guard !file.path.hasPrefix("/"), !file.path.split(separator: "/").contains("..") else {
          throw IorunError(.malformed, "a file of the working folder lies outside of it")
        }
        let path = "\(draft)/\(file.path)"
        try manager.createDirectory(
          atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try file.content.write(to: URL(fileURLWithPath: path))
        if file.isExecutable { chmod(path, 0o755) }
      }
      try manager.moveItem(atPath: draft, toPath: folder)
    } catch {
      // Another worker was faster, or there is no room.
      try? manager.removeItem(atPath: draft)
      guard manager.fileExists(atPath: folder) else {
        throw IorunError(.environmentFailed, "the working folder could not be made", cause: error)
      }
    }
  }
}
