internal import Foundation
internal import IorunCore

/// What a working folder leaves at home: a few names that never belong to a job, and the lines of
/// its `.iorunignore`, a subset of gitignore's format.
///
/// A line without a slash matches a name anywhere; one with a slash, a path from the folder. A
/// slash at the end matches folders only. `#` begins a comment, `\#` a name. `!` is refused rather
/// than misread.
struct IgnoreRules {
  private struct Rule {
    let glob: Glob
    let matchesNameAnywhere: Bool
    let matchesFoldersOnly: Bool
  }

  /// The file's name, in the folder itself.
  static let fileName = ".iorunignore"
  private static let always = [".git", ".build*/", "__pycache__/", ".iorun/"]
  private static let maximumBytes = 64 * 1024
  private static let maximumRules = 1000

  private var rules: [Rule] = []

  /// The built-in rules, then `patterns`. Throws `specInvalid` for a pattern that cannot be kept.
  init(_ patterns: [String] = []) throws {
    for line in Self.always + patterns { try add(line) }
  }

  /// Adds the folder's own rules, where it has some.
  mutating func readFile(in tree: FolderTree) throws {
    let bytes: [UInt8]
    do {
      bytes = try tree.openFile(Self.fileName).read(upTo: Self.maximumBytes + 1)
    } catch let error as IorunError where error.code == .fileMissing {
      return
    }
    guard bytes.count <= Self.maximumBytes, let text = String(validating: bytes, as: UTF8.self)
    else {
      throw IorunError(
        .specInvalid, "\(Self.fileName) is not UTF-8 text of at most 64 KiB",
        remedy: "Save it as a short text file")
    }
    for (index, line) in text.split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline
    ).enumerated() {
      try add(String(line), place: "\(Self.fileName), line \(index + 1): ")
    }
  }

  /// True where the rules leave the path out.
  func ignores(_ parts: [String], isFolder: Bool) -> Bool {
    rules.contains { rule in
      guard isFolder || !rule.matchesFoldersOnly else { return false }
      return rule.glob.matches(rule.matchesNameAnywhere ? Array(parts.suffix(1)) : parts)
    }
  }

  private mutating func add(_ line: String, place: String = "") throws {
    var pattern = line.trimmingCharacters(in: .whitespaces)
    guard !pattern.isEmpty, !pattern.hasPrefix("#") else { return }
    guard !pattern.hasPrefix("!") else {
      throw IorunError(
        .specInvalid, "\(place)'\(pattern)' brings files back, which is not supported",
        remedy: "Ignore the other files by name instead")
    }
    guard rules.count < Self.maximumRules else {
      throw IorunError(
        .specInvalid, "\(place)more than \(Self.maximumRules) patterns", remedy: "Use fewer")
    }
    let isFolderOnly = pattern.hasSuffix("/")
    if isFolderOnly { pattern.removeLast() }
    rules.append(
      Rule(
        glob: Glob(pattern), matchesNameAnywhere: !pattern.contains("/"),
        matchesFoldersOnly: isFolderOnly))
  }
}
