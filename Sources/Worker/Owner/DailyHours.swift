internal import IorunCore

/// A stretch of every day, by the machine's own clock: `22:00-07:00`. It may go past midnight.
public struct DailyHours: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Minutes after midnight at which it begins, below 1,440.
  public let beginMinute: Int
  /// Minutes after midnight at which it ends; the minute itself is outside.
  public let endMinute: Int

  private static let minutesPerDay = 24 * 60

  /// Reads `HH:MM-HH:MM`.
  ///
  /// - Throws: `specInvalid` where the text is no such stretch, or begins when it ends.
  public init(_ text: String) throws {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(Self.minute)
    guard ends.count == 2, let begin = ends[0], let end = ends[1], begin != end else {
      throw IorunError(
        .specInvalid, "'\(text)' is no stretch of a day",
        remedy: "Write it as 22:00-07:00, by the clock of this machine")
    }
    (beginMinute, endMinute) = (begin, end)
  }

  private static func minute(_ text: Substring) -> Int? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ (1...2).contains($0.count) }),
      parts.allSatisfy({ $0.allSatisfy { $0.isASCII && $0.isNumber } }),
      let hour = Int(parts[0]), let minute = Int(parts[1]), hour < 24, minute < 60
    else { return nil }
    return hour * 60 + minute
  }

  /// Whether a minute of the day lies within.
  public func contains(minute: Int) -> Bool {
    let sinceBegin = (minute - beginMinute + Self.minutesPerDay) % Self.minutesPerDay
    let length = (endMinute - beginMinute + Self.minutesPerDay) % Self.minutesPerDay
    return sinceBegin < length
  }

  /// `22:00-07:00`.
  public var description: String { "\(Self.clock(beginMinute))-\(Self.clock(endMinute))" }

  private static func clock(_ minute: Int) -> String {
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(two(minute / 60)):\(two(minute % 60))"
  }

  /// Reads the text form.
  public init(from decoder: any Decoder) throws {
    try self.init(try decoder.singleValueContainer().decode(String.self))
  }

  /// Writes the text form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
