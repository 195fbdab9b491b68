internal import CShim
internal import Foundation
internal import IorunCore

extension ControlGroup {
  /// Writes one value into a file of the kernel's. Throws `sandboxFailed`.
  static func write(_ text: String, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    var number = descriptor < 0 ? errno : 0
    if descriptor >= 0 {
      let bytes = Array(text.utf8)
      if Foundation.write(descriptor, bytes, bytes.count) < 0 { number = errno }
      close(descriptor)
    }
    guard number == 0 else {
      throw IorunError(
        .sandboxFailed,
        "cannot write '\(text)' into \(path): \(String(cString: strerror(number)))",
        remedy: "Run the node as root, or in a unit with Delegate=yes")
    }
  }

  /// A file of the kernel's, empty where it cannot be read. Foundation reads one page of such files.
  static func text(_ path: String) -> String {
    let bytes = try? OpenFile(path, O_RDONLY).read(upTo: 1 << 20)
    return String(decoding: bytes ?? [], as: UTF8.self)
  }

  static func words(_ path: String) -> [String] {
    text(path).split(whereSeparator: \.isWhitespace).map(String.init)
  }

  static func number(_ path: String) -> UInt64? { words(path).first.flatMap { UInt64($0) } }

  /// A file of lines `name value`.
  static func table(_ path: String) -> [String: UInt64] {
    var table: [String: UInt64] = [:]
    for line in text(path).split(separator: "\n") {
      let fields = line.split(separator: " ")
      if fields.count == 2, let value = UInt64(fields[1]) { table[String(fields[0])] = value }
    }
    return table
  }

  /// The sum of one line of that file over a group and all below it.
  static func sum(_ line: String, of file: String, in folder: String) -> Int {
    subfolders(folder).reduce(Int(clamping: table(folder + "/" + file)[line] ?? 0)) {
      $0 + sum(line, of: file, in: folder + "/" + $1)
    }
  }

  /// The hierarchies of version 1: a name as a folder, and what mount(2) is told for each.
  static func hierarchies(_ layout: ControlGroupLayout) -> [(name: String, options: String)] {
    Dictionary(grouping: layout.version1.keys, by: { layout.version1[$0] ?? "" }).values
      .map { controllers in
        let options = controllers.sorted().joined(separator: ",")
        return options.hasPrefix("name=")
          ? (String(options.dropFirst(5)), "none," + options) : (options, options)
      }
      .sorted { $0.0 < $1.0 }
  }

  static func subfolders(_ folder: String) -> [String] {
    let manager = FileManager.default
    return ((try? manager.contentsOfDirectory(atPath: folder)) ?? []).filter { name in
      var isFolder: ObjCBool = false
      return manager.fileExists(atPath: folder + "/" + name, isDirectory: &isFolder)
        && isFolder.boolValue
    }
  }

  static func collect(_ folder: String, into members: inout Set<pid_t>) {
    members.formUnion(words(folder + "/cgroup.procs").compactMap { pid_t($0) })
    for name in subfolders(folder) { collect(folder + "/" + name, into: &members) }
  }

  static func removeTree(_ folder: String) {
    for name in subfolders(folder) { removeTree(folder + "/" + name) }
    // The kernel may still be busy with the last process that left.
    for _ in 0..<50 where rmdir(folder) != 0 && errno == EBUSY { usleep(2000) }
  }
}

/// Hears of every time that the memory of a group of version 1 ran out, in it or in a group below.
final class OutOfMemoryCounter: Sendable {
  private let event: Int32

  /// `nil` where the kernel does not tell.
  init?(folder: String) {
    let event = iorun_eventfd_create()
    guard event >= 0 else { return nil }
    let control = open(folder + "/memory.oom_control", O_RDONLY | O_CLOEXEC)
    defer { if control >= 0 { close(control) } }
    guard control >= 0,
      (try? ControlGroup.write("\(event) \(control)", to: folder + "/cgroup.event_control")) != nil
    else {
      close(event)
      return nil
    }
    self.event = event
  }

  deinit { close(event) }

  /// 1 where memory ran out at least once since the last question.
  func count() -> Int { iorun_eventfd_drain(event) == 1 ? 1 : 0 }
}
