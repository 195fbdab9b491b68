internal import IorunCore

/// Metrics that programs count themselves, added up over all their processes on this node.
struct UserMetrics {
  /// What a process says of a metric.
  struct Note: Decodable {
    var name: String
    var kind: String
    var value: Double
    var tags: [String: String]?
  }

  private struct Key: Hashable {
    var name: String
    var tags: [String: String]
  }

  private struct Series {
    var kind: String
    var value = 0.0
    var count = 0.0
  }

  /// How many series are kept; what comes beyond is counted in `dropped`.
  static let limit = 10_000
  private var series: [Key: Series] = [:]
  private(set) var dropped = 0

  /// Takes one note.
  ///
  /// - Throws: `malformed` for a metric of another kind, or one whose name or tags are too long.
  mutating func take(_ note: Note) throws {
    let tags = note.tags ?? [:]
    guard (1...200).contains(note.name.utf8.count), tags.count <= 32,
      tags.allSatisfy({ $0.key.utf8.count <= 200 && $0.value.utf8.count <= 200 }),
      ["counter", "gauge", "histogram"].contains(note.kind), note.value.isFinite
    else {
      throw IorunError(
        .malformed, "'\(note.name.prefix(64))' is no metric of kind '\(note.kind.prefix(32))'",
        remedy: "Use counter, gauge or histogram, short names and at most 32 tags")
    }
    let key = Key(name: PrometheusText.name(note.name), tags: tags)
    var entry = series[key] ?? Series(kind: note.kind)
    guard series[key] != nil || series.count < Self.limit else {
      dropped += 1
      return
    }
    // A name has one kind: the first one that was said.
    switch entry.kind {
    case "gauge": entry.value = note.value
    case "counter": entry.value += max(0, note.value)
    default:
      entry.value += note.value
      entry.count += 1
    }
    series[key] = entry
  }

  /// Adds all series; a histogram's as the sum and the count of a summary.
  func write(to text: inout PrometheusText) {
    let byName = Dictionary(grouping: series) { $0.key.name }
    for (name, all) in byName.sorted(by: { $0.key < $1.key }) {
      let kind = all.first?.value.kind ?? "gauge"
      let samples = all.filter { $0.value.kind == kind }.flatMap { key, series in
        kind == "histogram"
          ? [
            PrometheusText.Sample(labels: key.tags, value: series.value, suffix: "_sum"),
            PrometheusText.Sample(labels: key.tags, value: series.count, suffix: "_count"),
          ] : [PrometheusText.Sample(labels: key.tags, value: series.value)]
      }
      text.add(
        "iorun_user_" + name, kind == "histogram" ? "summary" : kind, "Counted by programs.",
        samples)
    }
  }
}
