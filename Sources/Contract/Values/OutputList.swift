public import IorunContent
internal import IorunCore

/// Where the list of the files that one rank left behind is kept, and how long it is. The list
/// itself may have 100,000 files: it is content of its own (``OutputListCodec``), so that what
/// travels in a message stays small.
public struct OutputList: Hashable, Codable, Sendable {
  /// How many files it names, at least one.
  public var count: Int
  /// The encoded list.
  public var content: Blob

  /// Describes a list.
  public init(count: Int, content: Blob) {
    self.count = count
    self.content = content
  }

  /// Refuses, as `malformed`, what no ``OutputListCodec`` makes.
  public func check() throws {
    guard (1...ContentLimits.entries).contains(count) else {
      throw IorunError(.malformed, "a list of \(count) outputs is not one that a rank can leave")
    }
    try content.check(maximum: ContentLimits.manifestSize)
  }
}
