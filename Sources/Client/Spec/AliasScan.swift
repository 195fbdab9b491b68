/// Finds YAML aliases in a text before it is parsed. A spec may have none: they can make a small
/// file stand for an endless one.
///
/// It errs on the side of finding: an `&name` and a `*name` of the same name, both where YAML could
/// begin a value, are taken for an anchor and its alias even inside a quoted text.
enum AliasScan {
  /// Where an alias stands; lines and columns count from 1.
  struct Alias: Equatable {
    var name: String
    var line: Int
    var column: Int
  }

  /// The first alias whose anchor is in the text too.
  static func firstAlias(in text: String) -> Alias? {
    var anchors: Set<String> = []
    var aliases: [Alias] = []
    var line = 1
    var column = 1
    var previous: Unicode.Scalar = "\n"
    var index = text.unicodeScalars.startIndex
    while index < text.unicodeScalars.endIndex {
      let scalar = text.unicodeScalars[index]
      if scalar == "&" || scalar == "*", canPrecedeValue(previous) {
        let rest = text.unicodeScalars[text.unicodeScalars.index(after: index)...]
        let name = String(Substring(rest.prefix(while: isNameScalar)))
        if scalar == "&", !name.isEmpty { anchors.insert(name) }
        if scalar == "*", !name.isEmpty {
          aliases.append(Alias(name: name, line: line, column: column))
        }
      }
      (line, column) = scalar == "\n" ? (line + 1, 1) : (line, column + 1)
      previous = scalar
      index = text.unicodeScalars.index(after: index)
    }
    return aliases.first { anchors.contains($0.name) }
  }

  /// libyaml's alphabet of anchor names.
  private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
    default: false
    }
  }

  private static func canPrecedeValue(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value <= 0x20 || scalar.value >= 0x7F || "[{,:?-".unicodeScalars.contains(scalar)
  }
}
