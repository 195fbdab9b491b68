/// Durations and times for people. Programs get seconds.
public enum Ages {
  /// A span in its two largest units: `0s`, `42s`, `3m 12s`, `2h 5m`, `3d 4h`. A negative one,
  /// which clocks that disagree can make, is `0s`.
  public static func duration(seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0 else { return "0s" }
    let whole = Int(min(seconds, 1e12))
    switch whole {
    case ..<60: return "\(whole)s"
    case ..<3600: return pair(whole / 60, "m", whole % 60, "s")
    case ..<86400: return pair(whole / 3600, "h", whole % 3600 / 60, "m")
    default: return pair(whole / 86400, "d", whole % 86400 / 3600, "h")
    }
  }

  /// How long ago: `3m 12s ago`, or `just now` within a second.
  public static func ago(_ time: Double, now: Double) -> String {
    now - time < 1 ? "just now" : "\(duration(seconds: now - time)) ago"
  }

  /// A time, given in seconds since 1970, as `2026-11-23 22:48:20 UTC`; the same everywhere.
  public static func time(_ seconds: Double) -> String {
    guard seconds.isFinite, abs(seconds) < 2.5e11 else { return "an unknown time" }
    let whole = Int(seconds.rounded(.down))
    let days = Int((Double(whole) / 86400).rounded(.down))
    let rest = whole - days * 86400
    let (year, month, day) = date(daysSince1970: days)
    let clock = [rest / 3600, rest % 3600 / 60, rest % 60].map(two).joined(separator: ":")
    return "\(year)-\(two(month))-\(two(day)) \(clock) UTC"
  }

  private static func pair(_ large: Int, _ name: String, _ small: Int, _ unit: String) -> String {
    small == 0 ? "\(large)\(name)" : "\(large)\(name) \(small)\(unit)"
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// The Gregorian date, counted in 400-year eras that begin on a first of March (Hinnant,
  /// "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
  private static func date(daysSince1970: Int) -> (year: Int, month: Int, day: Int) {
    let days = daysSince1970 + 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1
    )
  }
}
