import Foundation
import IorunClient
import Testing

@Suite struct AgesTests {
  @Test(
    "a span has its two largest units",
    arguments: [
      (0.0, "0s"), (59.9, "59s"), (60, "1m"), (192, "3m 12s"), (7500, "2h 5m"), (273_600, "3d 4h"),
      (-5, "0s"), (.nan, "0s"), (.infinity, "0s"), (1e300, "11574074d 1h"),
    ])
  func duration(seconds: Double, text: String) {
    #expect(Ages.duration(seconds: seconds) == text)
  }

  @Test(
    "a time is shown in UTC",
    arguments: [
      (0.0, "1970-01-01 00:00:00 UTC"), (951_782_399, "2000-02-28 23:59:59 UTC"),
      (951_782_400, "2000-02-29 00:00:00 UTC"), (-1, "1969-12-31 23:59:59 UTC"),
      (.nan, "an unknown time"),
    ])
  func time(seconds: Double, text: String) {
    #expect(Ages.time(seconds) == text)
  }

  @Test func `times agree with Foundation's calendar`() throws {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
    for step in 0..<400 {
      let seconds = Double(step) * 86_400 * 91.3 + 12_345
      let date = calendar.dateComponents(
        [.year, .month, .day], from: Date(timeIntervalSince1970: seconds))
      let numbers = Ages.time(seconds).prefix(10).split(separator: "-").compactMap { Int($0) }
      #expect(numbers == [date.year, date.month, date.day])
    }
  }

  @Test func `clocks that disagree do not make an age negative`() {
    #expect(Ages.ago(100, now: 90) == "just now")
    #expect(Ages.ago(100, now: 165) == "1m 5s ago")
  }
}
