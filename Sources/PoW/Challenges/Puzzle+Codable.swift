internal import IorunCore

/// As JSON a puzzle is one object: `kind`, and its sizes under the names of the canonical text.
extension Puzzle: Codable {
  private struct Key: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// Reads a puzzle and checks its sizes. Throws `malformed` for an unknown kind.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    let name = try values.decode(String.self, forKey: Key("kind"))
    guard let kind = PuzzleKind(rawValue: name) else {
      throw IorunError(
        .malformed, "'\(name.prefix(32))' is no puzzle that this version knows",
        remedy: "Update iorun, or ask for a challenge of another kind")
    }
    func size(_ name: String) throws -> Int { try values.decode(Int.self, forKey: Key(name)) }
    switch kind {
    case .hash: self = try .hash(HashPuzzle(milliseconds: size("milliseconds")))
    case .lane:
      self = try .lane(
        LanePuzzle(
          cores: size("cores"), depth: size("depth"), nodeSteps: size("node_steps"),
          openings: size("openings")))
    case .memory, .gpuMemory:
      let puzzle = try MemoryPuzzle(
        labels: size("labels"), labelSteps: size("label_steps"), cores: size("cores"),
        segments: size("segments"), segmentSteps: size("segment_steps"),
        openings: size("openings"))
      self = kind == .memory ? .memory(puzzle) : .gpuMemory(puzzle)
    case .product:
      self = try .product(
        ProductPuzzle(size: size("size"), layers: size("layers"), openings: size("openings")))
    }
  }

  /// Writes kind and sizes.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(kind, forKey: Key("kind"))
    for (name, value) in fields { try container.encode(value, forKey: Key(name)) }
  }
}
