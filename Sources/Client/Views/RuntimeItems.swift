internal import Foundation
public import IorunContract
internal import IorunCore

/// What `iorun list` shows: items of runtime jobs, whose keys nodes of other versions may add to.
public struct RuntimeItems {
  /// The kind of thing.
  public let kind: RuntimeKind
  private let items: [[String: Any]]
  private let truncated: Bool
  private let silent: [String]

  /// Reads a listing, and keeps the first `limit` items that all `filters` admit.
  ///
  /// - Throws: `malformed` where an item is no JSON object.
  public init(
    _ kind: RuntimeKind, _ listing: RuntimeListing, filters: [ItemFilter] = [], limit: Int = .max
  ) throws {
    self.kind = kind
    silent = listing.silent
    let found = try Self.items(of: listing).filter { item in
      filters.allSatisfy { filter in
        let value = item.first { Self.snakeCased($0.key) == filter.key }?.value
        return filter.admits(Self.filterText(value))
      }
    }
    items = Array(found.prefix(limit))
    truncated = listing.truncated || found.count > limit
  }

  /// A value as a filter names it: as `--json` prints it, without quotation marks.
  private static func filterText(_ value: Any?) -> String {
    switch value {
    case let text as String: return text
    case let number as NSNumber:
      // JSONSerialization's booleans are numbers, too.
      if String(cString: number.objCType) == "c" { return number.boolValue ? "true" : "false" }
      return number.stringValue
    default: return ""
    }
  }

  private static func items(of listing: RuntimeListing) throws -> [[String: Any]] {
    try listing.items.map { text in
      guard let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)),
        let item = object as? [String: Any]
      else {
        throw IorunError(
          .malformed, "an item of a list is no JSON object",
          remedy: "Run the same version of iorun here, on the head and on the nodes")
      }
      return item
    }
  }

  /// The ids of the items.
  public var identifiers: [String] {
    let key =
      switch kind {
      case .actors: "actor"
      case .tasks: "task"
      case .objects: "object"
      case .workers: "worker"
      case .placementGroups: "group"
      case .jobs: "job"
      }
    return items.compactMap { $0[key] as? String }
  }

  /// The line of `--json`: `kind`, `items`, `truncated`, and `silent_nodes`.
  ///
  /// - Throws: `internalFault` where it cannot be written.
  public func json() throws -> String {
    let object: [String: Any] = [
      "kind": kind.rawValue, "items": items.map(Self.snakeCased), "truncated": truncated,
      "silent_nodes": silent,
    ]
    do {
      let data = try JSONSerialization.data(
        withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
      return String(decoding: data, as: UTF8.self) + "\n"
    } catch {
      throw IorunError(
        .internalFault, "a list could not be written as JSON", remedy: "Leave out --json",
        cause: error)
    }
  }

  /// The table for people; what is missing stands below it.
  public func table(_ style: TerminalStyle, now: Double) -> String {
    if items.isEmpty, silent.isEmpty { return "no \(words)\n" }
    let columns = Self.columns(kind)
    let table = Table(
      columns: columns.map { Table.Column($0.title, mayShrink: $0.mayShrink) },
      rows: items.map { item in columns.map { Self.cell(item, $0.key, now: now) } })
    var text = table.render(style)
    if truncated { text += "there are more; see them with --limit\n" }
    if !silent.isEmpty {
      text += "no answer from \(silent.joined(separator: ", ")): what they hold is missing\n"
    }
    return text
  }

  /// Events of Chrome's trace format (chrome://tracing, Perfetto), one for each task that has run:
  /// nodes are its processes, workers its threads. `now` is in seconds since 1970.
  public func chromeTrace(now: Double) -> [[String: any Sendable]] {
    items.compactMap { item in
      guard let started = Self.number(item["startedAt"]), started > 0 else { return nil }
      let state = item["state"] as? String ?? ""
      let last = Self.number(item["seconds"]) ?? now
      let ended = state == "RUNNING" ? now : last
      return [
        "name": item["name"] as? String ?? "task", "cat": "task", "ph": "X",
        "ts": started * 1e6, "dur": max(0, ended - started) * 1e6,
        "pid": item["nodeName"] as? String ?? "", "tid": item["worker"] as? String ?? "",
        "cname": state == "FAILED" ? "terrible" : "generic_work",
        "args": [
          "task": item["task"] as? String ?? "", "state": state,
          "attempt": Self.text(item["attempt"]), "error": item["errorType"] as? String ?? "",
        ],
      ]
    }
  }

  /// The trace as the text of a JSON array.
  ///
  /// - Throws: `internalFault` where it cannot be written.
  public func chromeTraceText(now: Double) throws -> String {
    do {
      let data = try JSONSerialization.data(
        withJSONObject: chromeTrace(now: now), options: [.sortedKeys, .withoutEscapingSlashes])
      return String(decoding: data, as: UTF8.self) + "\n"
    } catch {
      throw IorunError(.internalFault, "the timeline could not be written", cause: error)
    }
  }

  private var words: String { kind.rawValue.replacingOccurrences(of: "-", with: " ") }

  private static func columns(_ kind: RuntimeKind) -> [(
    title: String, key: String, mayShrink: Bool
  )] {
    switch kind {
    case .actors:
      [
        ("ACTOR", "actor", false), ("CLASS", "className", true), ("NAME", "name", true),
        ("STATE", "state", false), ("NODE", "nodeName", false), ("PID", "pid", false),
        ("RESTARTS", "restarts", false), ("CAUSE", "cause", true),
      ]
    case .tasks:
      [
        ("TASK", "task", false), ("NAME", "name", true), ("STATE", "state", false),
        ("ATTEMPT", "attempt", false), ("OWNER ON", "nodeName", false),
        ("WORKER", "worker", false), ("ERROR", "errorType", true),
      ]
    case .objects:
      [
        ("OBJECT", "object", false), ("SIZE", "size", false), ("STATE", "state", false),
        ("PINS", "pins", false), ("NODE", "nodeName", false), ("JOB", "job", false),
      ]
    case .workers:
      [
        ("WORKER", "worker", false), ("KIND", "kind", false), ("STATE", "state", false),
        ("NODE", "nodeName", false), ("PID", "pid", false), ("JOB", "job", false),
      ]
    case .placementGroups:
      [
        ("GROUP", "group", false), ("NAME", "name", true), ("STRATEGY", "strategy", false),
        ("STATE", "state", false), ("BUNDLES", "bundles", false), ("REASON", "reason", true),
      ]
    case .jobs:
      [
        ("JOB", "job", false), ("NAME", "name", true), ("STATE", "state", false),
        ("NAMESPACE", "namespace", true), ("AGE", "startedAt", false), ("REASON", "reason", true),
      ]
    }
  }

  private static func cell(_ item: [String: Any], _ key: String, now: Double) -> String {
    let value = item[key]
    switch key {
    case "size": return number(value).map { "\(Bytes(UInt64(max(0, $0))))" } ?? ""
    case "startedAt": return number(value).map { Ages.duration(seconds: now - $0) } ?? ""
    case "bundles": return (value as? [Any]).map { "\($0.count)" } ?? ""
    default:
      let words = text(value)
      return words.isEmpty ? "-" : words
    }
  }

  private static func number(_ value: Any?) -> Double? { (value as? NSNumber)?.doubleValue }

  private static func text(_ value: Any?) -> String {
    if let text = value as? String { return text }
    return (value as? NSNumber)?.stringValue ?? ""
  }

  /// An item with keys as all of iorun's JSON has them; keys of values, such as names of resources,
  /// stay.
  private static func snakeCased(_ item: [String: Any]) -> [String: Any] {
    Dictionary(uniqueKeysWithValues: item.map { (snakeCased($0.key), $0.value) })
  }

  private static func snakeCased(_ key: String) -> String {
    key.reduce(into: "") { text, letter in
      if letter.isUppercase { text += "_" }
      text += letter.lowercased()
    }
  }
}
