import IorunCore

/// A registry of images that the machine's owner names: it is reached by the machine's own network, in
/// which it may have a private address, as no other registry may.
public struct OwnRegistry: Hashable, Sendable {
  /// Its `HOST[:PORT]`, as images' references have it.
  public let host: String
  /// Whether it is asked by plain HTTP. Digests are checked all the same.
  public let isPlain: Bool

  /// Reads `HOST[:PORT]` or `http://HOST[:PORT]`. Throws `specInvalid`.
  public init(_ text: String) throws {
    isPlain = text.hasPrefix("http://")
    host = isPlain ? String(text.dropFirst(7)) : text
    guard ImageReference.isHost(host) else {
      throw IorunError(
        .specInvalid, "'\(text.prefix(100))' is no registry",
        remedy: "Write HOST, HOST:PORT or http://HOST:PORT")
    }
  }
}
