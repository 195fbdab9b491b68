/// A file that cannot be read as what it should be.
struct InputError: Error, CustomStringConvertible {
  /// The file.
  let path: String
  /// Which line, from 1; `nil` where the whole file is meant, and for files without lines.
  let line: Int?
  /// What is wrong there.
  let message: String

  init(_ path: String, line: Int? = nil, _ message: String) {
    (self.path, self.line, self.message) = (path, line, message)
  }

  private static let longest = 300

  /// What a file holds may be anything: no control characters, and not too much of it.
  var description: String {
    let words = message.unicodeScalars.prefix(Self.longest).map { scalar in
      scalar.properties.generalCategory == .control || scalar == "\u{FFFD}" ? "?" : String(scalar)
    }
    return "\(path)\(line.map { ", line \($0)" } ?? ""): \(words.joined())"
      + (message.unicodeScalars.count > Self.longest ? "..." : "")
  }
}
