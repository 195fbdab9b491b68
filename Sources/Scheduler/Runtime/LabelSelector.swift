internal import IorunCore

/// Which nodes a task, an actor or a bundle may run on, by their labels: all terms must hold.
///
/// The values are Ray's: `v` (the label is there and is `v`), `!v` (it is not there, or not `v`),
/// `in(a,b)` and `!in(a,b)`; and `*` (the label is there) and `!*` (it is not).
public struct LabelSelector: Sendable, Hashable {
  private struct Term: Sendable, Hashable {
    var key: String
    var values: Set<String>
    var isNegated: Bool
    var text: String

    func holds(_ labels: [String: String]) -> Bool {
      let isAmong = labels[key].map { values.contains("*") || values.contains($0) } ?? false
      return isAmong != isNegated
    }
  }

  private var terms: [Term]

  /// Reads the terms.
  ///
  /// - Throws: `specInvalid` for an empty key, an empty value or a list that is not closed.
  public init(_ text: [String: String]) throws {
    terms = try text.sorted { $0.key < $1.key }.map { try Self.term($0.key, $0.value) }
  }

  /// True where a node with these labels may be used.
  public func matches(_ labels: [String: String]) -> Bool {
    terms.allSatisfy { $0.holds(labels) }
  }

  /// True where it says nothing.
  public var isEmpty: Bool { terms.isEmpty }

  /// The first term that does not hold for these labels, for a person, such as `region=!eu`.
  public func firstMiss(_ labels: [String: String]) -> (key: String, words: String)? {
    terms.first { !$0.holds(labels) }.map { ($0.key, "\($0.key)=\($0.text)") }
  }

  private static func term(_ key: String, _ value: String) throws -> Term {
    var body = Substring(value.trimmingSpaces)
    let isNegated = body.first == "!"
    if isNegated { body = body.dropFirst() }
    let values: [String]
    if body.hasPrefix("in(") {
      guard body.hasSuffix(")") else { throw refusal(key, value) }
      values = body.dropFirst(3).dropLast().split(separator: ",").map { String($0).trimmingSpaces }
    } else {
      values = [String(body)]
    }
    guard !key.isEmpty, !values.isEmpty, values.allSatisfy({ !$0.isEmpty }) else {
      throw refusal(key, value)
    }
    return Term(key: key, values: Set(values), isNegated: isNegated, text: value)
  }

  private static func refusal(_ key: String, _ value: String) -> IorunError {
    IorunError(
      .specInvalid, "'\(key.prefix(64))': '\(value.prefix(64))' is no label selector",
      remedy: "Write a value, !value, in(a,b), !in(a,b), * or !*")
  }
}

extension String {
  /// The text without spaces at its ends.
  fileprivate var trimmingSpaces: String {
    String(drop(while: { $0 == " " }).reversed().drop(while: { $0 == " " }).reversed())
  }
}
