/// Spans of time as people write them in specs and flags: `90s`, `10m`, `2h`, `7d`, or seconds.
public enum TimeSpan {
  /// The longest span that is taken: ten years, in seconds.
  public static let maximumSeconds = 315_360_000.0

  /// What to tell people who wrote something else.
  public static let allowed = "Write a time such as 90s, 10m, 2h, 7d, or a number of seconds"

  /// The seconds that a text stands for; `nil` unless it is a number above zero with one unit.
  public static func seconds(_ text: String) -> Double? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = text.dropFirst(digits.count).drop { $0 == " " }
    let factors: [Substring: Double] = ["": 1, "s": 1, "m": 60, "h": 3600, "d": 86400]
    guard let number = Double(digits), let factor = factors[unit] else { return nil }
    let seconds = number * factor
    return seconds > 0 && seconds <= maximumSeconds ? seconds : nil
  }
}
