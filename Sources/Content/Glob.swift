/// A path pattern: `*` and `?` within one part of a path, `[a-z]` and `[!a-z]` for one character,
/// `**` for any number of parts. Takes time that grows with pattern times path, never faster, so a
/// pattern from a stranger costs no more than its length.
struct Glob: Hashable, Sendable {
  private enum Part: Hashable, Sendable {
    case anyParts
    case name([Token])
  }

  private enum Token: Hashable, Sendable {
    case literal(Unicode.Scalar)
    case one
    case many
    case oneOf([ClosedRange<Unicode.Scalar>], isInverted: Bool)
  }

  private let parts: [Part]

  /// Reads a pattern whose parts are separated by `/`.
  init(_ pattern: some StringProtocol) {
    parts = pattern.split(separator: "/").map { part in
      part == "**" ? .anyParts : .name(Self.tokens(Array(part.unicodeScalars)))
    }
  }

  /// True where the whole path matches.
  func matches(_ path: [String]) -> Bool {
    Self.matches(
      parts, path.map { Array($0.unicodeScalars) },
      isMany: { $0 == .anyParts },
      matchesOne: { part, name in
        guard case .name(let tokens) = part else { return false }
        return Self.matches(
          tokens, name, isMany: { $0 == .many }, matchesOne: { Self.matches($0, $1) })
      })
  }

  /// Matches a row of patterns against a row of items, where some patterns stand for any number of
  /// items. Only the last of those needs to be reconsidered, so the time is at most the product.
  private static func matches<Pattern, Item>(
    _ patterns: [Pattern], _ items: [Item], isMany: (Pattern) -> Bool,
    matchesOne: (Pattern, Item) -> Bool
  ) -> Bool {
    var (pattern, item) = (0, 0)
    var retry: (pattern: Int, item: Int)?
    while item < items.count {
      if pattern < patterns.count, isMany(patterns[pattern]) {
        retry = (pattern, item)
        pattern += 1
      } else if pattern < patterns.count, matchesOne(patterns[pattern], items[item]) {
        pattern += 1
        item += 1
      } else if let last = retry {
        retry = (last.pattern, last.item + 1)
        pattern = last.pattern + 1
        item = last.item + 1
      } else {
        return false
      }
    }
    return patterns[pattern...].allSatisfy(isMany)
  }

  private static func matches(_ token: Token, _ scalar: Unicode.Scalar) -> Bool {
    switch token {
    case .literal(let literal): literal == scalar
    case .one, .many: true
    case .oneOf(let ranges, let isInverted):
      ranges.contains { $0.contains(scalar) } != isInverted
    }
  }

  private static func tokens(_ scalars: [Unicode.Scalar]) -> [Token] {
    var tokens: [Token] = []
    var index = 0
    while index < scalars.count {
      switch scalars[index] {
      case "*":
        if tokens.last != .many { tokens.append(.many) }
        index += 1
      case "?":
        tokens.append(.one)
        index += 1
      case "[":
        if let (token, next) = characterClass(scalars, from: index) {
          tokens.append(token)
          index = next
        } else {
          tokens.append(.literal("["))
          index += 1
        }
      case "\\" where index + 1 < scalars.count:
        tokens.append(.literal(scalars[index + 1]))
        index += 2
      default:
        tokens.append(.literal(scalars[index]))
        index += 1
      }
    }
    return tokens
  }

  /// Reads `[...]`; `nil` where it has no end, and the bracket then means itself.
  private static func characterClass(
    _ scalars: [Unicode.Scalar], from start: Int
  ) -> (Token, next: Int)? {
    var index = start + 1
    let isInverted = index < scalars.count && (scalars[index] == "!" || scalars[index] == "^")
    if isInverted { index += 1 }
    let first = index
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    while index < scalars.count {
      let scalar = scalars[index]
      if scalar == "]", index > first {
        return (.oneOf(ranges, isInverted: isInverted), index + 1)
      }
      if index + 2 < scalars.count, scalars[index + 1] == "-", scalars[index + 2] != "]" {
        // A range that runs backwards holds nothing, as in a shell.
        if scalar <= scalars[index + 2] { ranges.append(scalar...scalars[index + 2]) }
        index += 3
      } else {
        ranges.append(scalar...scalar)
        index += 1
      }
    }
    return nil
  }
}
