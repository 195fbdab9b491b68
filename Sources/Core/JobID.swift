/// Names a job: `job-` and eight characters of base 32, drawn by the head.
public struct JobID: Hashable, Sendable, Comparable, LosslessStringConvertible {
  /// The whole text, for example `job-7k3f9q2m`.
  public let description: String

  private static let prefix = "job-"

  /// Reads an id; `nil` unless it has the form that `init(random:)` makes.
  public init?(_ description: String) {
    let tail = description.dropFirst(Self.prefix.count)
    guard description.hasPrefix(Self.prefix), tail.utf8.count == 8,
      tail.utf8.allSatisfy({ (48...57).contains($0) || (97...122).contains($0) })
    else { return nil }
    self.description = description
  }

  /// Draws a new id.
  public init(using generator: inout some RandomNumberGenerator) {
    let bytes = (0..<5).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    description = Self.prefix + Base32.encode(bytes)
  }

  /// Orders by text.
  public static func < (left: JobID, right: JobID) -> Bool {
    left.description < right.description
  }
}

extension JobID: Codable {
  /// Reads the text.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let id = JobID(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is not a job id")
    }
    self = id
  }

  /// Writes the text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
