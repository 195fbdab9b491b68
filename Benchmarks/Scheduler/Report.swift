import Foundation

/// What a command measured: names with their units, in order.
struct Report {
  private let values: [(name: String, value: Double)]

  init(_ values: [(String, Double)]) { self.values = values }

  /// One JSON object on standard output, or a table.
  func print(asJSON: Bool) {
    guard asJSON else {
      let width = values.map(\.name.count).max() ?? 0
      for (name, value) in values {
        Swift.print(name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + text(value))
      }
      return
    }
    let fields = values.map { "\"\($0)\": \(text($1))" }
    Swift.print("{" + fields.joined(separator: ", ") + "}")
  }

  /// JSON has no word for what is not finite but null.
  private func text(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    return value == value.rounded() && abs(value) < 1e15
      ? String(Int64(value)) : String(format: "%.4f", value)
  }
}
