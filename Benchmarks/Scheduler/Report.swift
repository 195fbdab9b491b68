import Foundation

/// What a command measured: names with their units, in order.
struct Report {
  private let values: [(name: String, value: Double)]
  private let references: [String: String]

  /// - Parameter references: what others published, by the name of the value that it stands beside.
  init(_ values: [(String, Double)], beside references: [String: String] = [:]) {
    self.values = values
    self.references = references
  }

  /// One JSON object on standard output, or a table with the references beside the values.
  func print(asJSON: Bool) {
    guard asJSON else {
      let width = values.map(\.name.count).max() ?? 0
      for (name, value) in values {
        let reference = references[name].map { "  (\($0))" } ?? ""
        Swift.print(
          name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + Self.text(value)
            + reference)
      }
      return
    }
    let fields = values.map { "\"\($0)\": \(Self.text($1))" }
    Swift.print("{" + fields.joined(separator: ", ") + "}")
  }

  /// JSON has no word for what is not finite but null.
  static func text(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    return value == value.rounded() && abs(value) < 1e15
      ? String(Int64(value)) : String(format: "%.4f", value)
  }
}
