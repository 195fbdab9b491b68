public import IorunCore

/// Which items of a list are wanted: `KEY=VALUE` or `KEY!=VALUE`, with the keys of docs/JSON.md.
public struct ItemFilter: Sendable, Hashable {
  /// The key as `--json` prints it.
  public let key: String
  /// What it is to be, or not to be; letter case counts.
  public let value: String
  /// True for `!=`.
  public let isNegated: Bool

  /// Reads one.
  ///
  /// - Throws: `specInvalid` where the text is no filter.
  public init(_ text: String) throws(IorunError) {
    guard let sign = text.firstIndex(of: "=") else { throw Self.fault(text) }
    var key = text[..<sign]
    isNegated = key.last == "!"
    if isNegated { key.removeLast() }
    guard !key.isEmpty, key.allSatisfy({ $0.isLetter || $0 == "_" }) else {
      throw Self.fault(text)
    }
    self.key = String(key)
    value = String(text[text.index(after: sign)...])
  }

  private static func fault(_ text: String) -> IorunError {
    IorunError(
      .specInvalid, "'\(text.prefix(100))' is no filter",
      remedy: "Write KEY=VALUE or KEY!=VALUE, with a key of docs/JSON.md, such as state=RUNNING")
  }

  /// True where an item's value of the key, as text, is wanted. An item without the key has the empty
  /// text.
  func admits(_ text: String) -> Bool { (text == value) != isNegated }
}
