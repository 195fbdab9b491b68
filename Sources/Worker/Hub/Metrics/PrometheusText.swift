/// Writes metrics in Prometheus's text format (exposition format 0.0.4).
struct PrometheusText {
  /// One line of a metric.
  struct Sample {
    var labels: [String: String] = [:]
    var value: Double
    /// What is added to the metric's name, such as `_sum`.
    var suffix = ""
  }

  private(set) var text = ""

  /// Adds a metric with all its samples. Samples are in the order of their labels, so that two scrapes
  /// of the same state are the same text.
  mutating func add(_ name: String, _ kind: String, _ help: String, _ samples: [Sample]) {
    if samples.isEmpty { return }
    text += "# HELP \(name) \(Self.oneLine(help))\n# TYPE \(name) \(kind)\n"
    let lines = samples.map { sample in
      let labels = sample.labels.sorted { $0.key < $1.key }
        .map { "\(Self.name($0.key))=\"\(Self.escaped($0.value))\"" }
      let braces = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
      return "\(name)\(sample.suffix)\(braces) \(Self.number(sample.value))\n"
    }
    text += lines.sorted().joined()
  }

  /// A metric's or a label's name: what is not a letter, digit or underscore becomes one.
  static func name(_ text: String) -> String {
    let clean = String(
      text.prefix(200).map { character in
        character.isASCII && (character.isLetter || character.isNumber) ? character : "_"
      })
    return clean.first.map { $0.isNumber } ?? true ? "_" + clean : clean
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return value == value.rounded() && abs(value) < 9e15 ? "\(Int64(value))" : "\(value)"
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.append(character)
      }
    }
  }

  private static func oneLine(_ text: String) -> String {
    String(text.map { $0 == "\n" ? " " : $0 })
  }
}
