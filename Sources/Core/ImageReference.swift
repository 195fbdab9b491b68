/// An image by its digest: `HOST[:PORT]/NAME@sha256:HEX` in a registry, or `layout@sha256:HEX` in the
/// OCI image layout that travels with the job. Tags change, so they name nothing that could be checked.
public struct ImageReference: Hashable, Sendable, CustomStringConvertible {
  /// Where an image comes from.
  public enum Source: Hashable, Sendable {
    /// The layout that is part of the job's working folder, below ``layoutFolder``.
    case layout
    /// A registry, with its port where it has one, and the repository's name there.
    case registry(host: String, name: String)
  }

  /// Where it comes from.
  public let source: Source
  /// The manifest's digest, or that of an index of manifests.
  public let digest: Digest

  /// Where in a job's working folder its layout travels. Ranks do not see it.
  public static let layoutFolder = ".iorun/image"

  /// The image with that digest in the job's own layout.
  public init(layout digest: Digest) {
    source = .layout
    self.digest = digest
  }

  /// Reads a reference. Throws `specInvalid`.
  public init(_ text: String) throws {
    let halves = text.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
    guard text.utf8.count <= 512, halves.count == 2, halves[1].hasPrefix("sha256:"),
      let digest = Digest(String(halves[1].dropFirst(7)))
    else { throw Self.invalid(text) }
    self.digest = digest
    if halves[0] == "layout" {
      source = .layout
      return
    }
    guard let slash = halves[0].firstIndex(of: "/") else { throw Self.invalid(text) }
    let host = String(halves[0][..<slash])
    let name = String(halves[0][halves[0].index(after: slash)...])
    let nameSet = Set("abcdefghijklmnopqrstuvwxyz0123456789-._/")
    // Names as the distribution specification has them; no part is "..", "." or empty.
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard Self.isHost(host), name.allSatisfy(nameSet.contains),
      parts.allSatisfy({ $0.first?.isLetter == true || $0.first?.isNumber == true })
    else { throw Self.invalid(text) }
    source = .registry(host: host, name: name)
  }

  /// Whether a text can be a registry's `HOST[:PORT]`.
  public static func isHost(_ text: String) -> Bool {
    let set = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]")
    // A first "-" would be an option of whatever gets it.
    return (1...255).contains(text.utf8.count) && text.allSatisfy(set.contains)
      && text.first != "-"
  }

  /// The textual form.
  public var description: String {
    switch source {
    case .layout: "layout@sha256:\(digest)"
    case .registry(let host, let name): "\(host)/\(name)@sha256:\(digest)"
    }
  }

  private static func invalid(_ text: String) -> IorunError {
    IorunError(
      .specInvalid, "'\(text.prefix(200))' is no image by its digest",
      remedy: "Write HOST/NAME@sha256:DIGEST, or the path of an OCI layout or its archive")
  }
}
