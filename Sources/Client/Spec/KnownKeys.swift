/// The keys that one group of a spec may have, and what to say about any other.
struct KnownKeys {
  let names: [String]
  /// Keys that live in another group, by the group's path: a common slip has its own words.
  var elsewhere: [String: String] = [:]

  /// What is wrong with `name`: its nearest known key, or the group where it belongs.
  func complaint(about name: String) -> String {
    if let group = elsewhere[name] { return "'\(name)' belongs under \(group)" }
    let nearest = names.min {
      (Self.distance(name, $0), $0) < (Self.distance(name, $1), $1)
    }
    return "unknown key '\(name)'" + (nearest.map { "; the nearest known key is '\($0)'" } ?? "")
  }

  /// How many single-character edits lie between two names, without regard to case or to `-` for
  /// `_`. Names are cut at 64 characters, so that the work is bounded.
  static func distance(_ left: String, _ right: String) -> Int {
    func letters(_ name: String) -> [Character] {
      name.lowercased().prefix(64).map { $0 == "-" ? "_" : $0 }
    }
    let (left, right) = (letters(left), letters(right))
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, b) in right.enumerated() {
        let substitution = diagonal + (a == b ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[right.count]
  }
}
