/// An amount of memory, disk or traffic.
public struct Bytes: RawRepresentable, Hashable, Sendable, Comparable {
  /// The number of bytes.
  public let rawValue: UInt64

  /// Makes an amount from a number of bytes.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Makes an amount from a number of bytes.
  public init(_ count: UInt64) { rawValue = count }

  /// No bytes.
  public static let zero = Bytes(0)

  /// So many kibibytes (1,024 bytes).
  public static func kibi(_ count: UInt64) -> Bytes { Bytes(count << 10) }
  /// So many mebibytes (1,024 KiB).
  public static func mebi(_ count: UInt64) -> Bytes { Bytes(count << 20) }
  /// So many gibibytes (1,024 MiB).
  public static func gibi(_ count: UInt64) -> Bytes { Bytes(count << 30) }

  /// Orders by amount.
  public static func < (left: Bytes, right: Bytes) -> Bool { left.rawValue < right.rawValue }

  /// The sum, or the largest amount there is when it does not fit.
  public static func + (left: Bytes, right: Bytes) -> Bytes {
    let (sum, overflow) = left.rawValue.addingReportingOverflow(right.rawValue)
    return Bytes(overflow ? .max : sum)
  }

  /// The difference, or zero where it would be negative.
  public static func - (left: Bytes, right: Bytes) -> Bytes {
    Bytes(left.rawValue >= right.rawValue ? left.rawValue - right.rawValue : 0)
  }
}

extension Bytes: LosslessStringConvertible {
  private static let units: [(name: String, factor: UInt64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000),
    ("KB", 1000), ("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10),
    ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("B", 1),
  ]

  /// The amount in the largest binary unit that is at least one, with at most one decimal.
  public var description: String {
    for (name, factor) in Self.units.prefix(4) where rawValue >= factor {
      let whole = rawValue / factor
      let tenth = (rawValue % factor) * 10 / factor
      return tenth == 0 ? "\(whole) \(name)" : "\(whole).\(tenth) \(name)"
    }
    return "\(rawValue) B"
  }

  /// Reads `512MiB`, `4 GiB`, `1.5GB` (decimal units are powers of 1,000; a bare `G` is a GiB) or a
  /// plain number of bytes; `nil` for anything else, a negative or a sum that does not fit.
  public init?(_ description: String) {
    let text = description.trimmingSpaces()
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = String(text.dropFirst(digits.count)).trimmingSpaces()
    guard let number = Double(digits), number.isFinite, number >= 0 else { return nil }
    let factor =
      unit.isEmpty ? 1 : Self.units.first { $0.name.lowercased() == unit.lowercased() }?.factor
    guard let factor else { return nil }
    let product = number * Double(factor)
    guard product < Double(UInt64.max) else { return nil }
    self.init(UInt64(product.rounded()))
  }
}

extension Bytes: Codable {
  /// Reads a number of bytes.
  public init(from decoder: any Decoder) throws {
    rawValue = try decoder.singleValueContainer().decode(UInt64.self)
  }

  /// Writes the number of bytes.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

extension String {
  /// The text without spaces at either end.
  func trimmingSpaces() -> String {
    var view = self[...]
    while view.first == " " { view.removeFirst() }
    while view.last == " " { view.removeLast() }
    return String(view)
  }
}
