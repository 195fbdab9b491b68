internal import IorunCore
internal import Yams

/// One value of a spec with the place where it stands: reads it as what a key needs, or says where
/// it is, what it is, and what is allowed.
struct SpecNode {
  let node: Node
  let file: String
  /// How people find the value, for example `gang.resources.cpus`; empty for the whole spec.
  let path: String

  /// True for a single value, false for a list or a group.
  var isScalar: Bool { if case .scalar = node { true } else { false } }

  /// True for a group of keys.
  var isGroup: Bool { if case .mapping = node { true } else { false } }

  /// A fault at this value: `file:line:column: message`.
  func fault(_ message: String, allowed: String) -> IorunError {
    Self.fault(file, node.mark.map { ($0.line, $0.column) }, message, allowed: allowed)
  }

  /// A fault at a place in the file; without one, the fault is of the whole file.
  static func fault(
    _ file: String, _ position: (line: Int, column: Int)?, _ message: String, allowed: String
  ) -> IorunError {
    let place = position.map { "\(file):\($0.line):\($0.column)" } ?? "\(file):1:1"
    return IorunError(.specInvalid, "\(place): \(message)", remedy: allowed)
  }

  /// What the value is, in words: `a list`, `the text 'abc'`.
  var found: String {
    switch node {
    case .mapping: return "a group of keys"
    case .sequence: return "a list"
    case .alias: return "an alias"
    case .scalar(let scalar):
      let text = scalar.string.count > 40 ? scalar.string.prefix(40) + "…" : scalar.string[...]
      switch kind {
      case .null: return "nothing"
      case .text: return "the text '\(text)'"
      case .number: return "the number \(text)"
      case .truth: return "the truth value \(text)"
      case .other: return "a value with the tag \(node.tag.rawValue)"
      }
    }
  }

  private enum Kind { case null, text, number, truth, other }

  private var kind: Kind {
    switch Tag.Name(rawValue: node.tag.rawValue) {
    case .null: .null
    // Dates and `=` are plain text to a spec.
    case .str, .timestamp, .value, .merge: .text
    case .int, .float: .number
    case .bool: .truth
    default: .other
    }
  }

  /// A fault for a value of the wrong type.
  func wrongType(_ wanted: String) -> IorunError {
    fault("\(path) must be \(wanted), found \(found)", allowed: "Give \(path) \(wanted)")
  }

  /// A text; numbers and truth values are wrong, because YAML may have changed them.
  func text(_ wanted: String = "a text") throws -> String {
    guard case .scalar(let scalar) = node, kind == .text else { throw wrongType(wanted) }
    return try checked(scalar.string)
  }

  /// A text as it is written, whatever YAML takes it for: `8080`, `true` and `1.10` stay so.
  func written(_ wanted: String = "a text") throws -> String {
    guard case .scalar(let scalar) = node, kind != .null, kind != .other else {
      throw wrongType(wanted)
    }
    return try checked(scalar.string)
  }

  private func checked(_ text: String) throws -> String {
    if text.utf8.contains(0) {
      throw fault("\(path) has a zero byte in it", allowed: "Leave the zero byte out")
    }
    return text
  }

  /// `true` or `false`.
  func truth() throws -> Bool {
    guard case .scalar(let scalar) = node, kind == .truth, let value = Bool.construct(from: scalar)
    else { throw wrongType("true or false") }
    return value
  }

  /// A whole number within `range`.
  func integer(in range: ClosedRange<Int>) throws -> Int {
    let wanted = "a whole number from \(range.lowerBound) to \(range.upperBound)"
    guard case .scalar(let scalar) = node, kind == .number else { throw wrongType(wanted) }
    guard let number = Int.construct(from: scalar), range.contains(number) else {
      throw fault("\(path) is \(scalar.string)", allowed: "Give \(path) \(wanted)")
    }
    return number
  }

  /// A finite number within `range`.
  func number(in range: ClosedRange<Double>) throws -> Double {
    let wanted = "a number from \(range.lowerBound) to \(Int(range.upperBound))"
    guard case .scalar(let scalar) = node, kind == .number else { throw wrongType(wanted) }
    let whole = Int.construct(from: scalar).map(Double.init)
    guard let number = whole ?? Double.construct(from: scalar), range.contains(number) else {
      throw fault("\(path) is \(scalar.string)", allowed: "Give \(path) \(wanted)")
    }
    return number
  }

  /// An amount of memory or disk, at least 1 MiB: less is a unit forgotten.
  func bytes() throws -> Bytes {
    let key = path.split(separator: ".").last ?? ""
    let allowed = "Write an amount with its unit, for example \(key): 4 GiB"
    guard case .scalar(let scalar) = node, kind == .text || kind == .number else {
      throw wrongType("an amount such as 4 GiB")
    }
    guard let bytes = Bytes(scalar.string) else {
      throw fault("\(path) is '\(scalar.string)', which is no amount of bytes", allowed: allowed)
    }
    if bytes > .zero && bytes < .mebi(1) {
      throw fault("\(path) is \(bytes), too little for any job", allowed: allowed)
    }
    return bytes
  }

  /// The items of a list.
  func items(_ wanted: String = "a list") throws -> [SpecNode] {
    guard case .sequence(let sequence) = node else { throw wrongType(wanted) }
    return sequence.enumerated().map { index, node in
      SpecNode(node: node, file: file, path: "\(path)[\(index)]")
    }
  }

  /// The entries of a group with free keys, in the order of the file.
  func entries(_ wanted: String = "a group of keys") throws -> [(key: SpecNode, value: SpecNode)] {
    guard case .mapping(let mapping) = node else { throw wrongType(wanted) }
    return mapping.map { key, value in
      let name = key.string ?? "?"
      let path = path.isEmpty ? name : "\(path).\(name)"
      return (
        SpecNode(node: key, file: file, path: path), SpecNode(node: value, file: file, path: path)
      )
    }
  }
}
