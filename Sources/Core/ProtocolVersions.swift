/// The versions of a protocol that one side speaks, from the oldest to the newest. Both sides of a
/// greeting say theirs, and the highest that both speak is used: so releases that are one version apart
/// work with each other, whichever is newer.
public struct ProtocolVersions: Sendable, Hashable, CustomStringConvertible {
  /// The oldest that is understood.
  public let oldest: Int
  /// The newest.
  public let newest: Int

  /// From `oldest` to `newest`. Who names no oldest one (`nil`, or 0 on the wire), as those of the first
  /// release do, or one that is above the newest, speaks the newest alone.
  public init(oldest: Int?, newest: Int) {
    self.newest = newest
    self.oldest = oldest.flatMap { $0 > 0 && $0 <= newest ? $0 : nil } ?? newest
  }

  /// True where `version` is spoken.
  public func contains(_ version: Int) -> Bool { (oldest...newest).contains(version) }

  /// The version to speak with `other`.
  ///
  /// - Parameters:
  ///   - other: what the other side speaks.
  ///   - protocolName: what is spoken, for people.
  ///   - who: the other side, for people.
  ///   - own: this side, for people.
  /// - Throws: `versionMismatch`, which names both sides' versions, where there is none.
  public func agreed(
    with other: ProtocolVersions, _ protocolName: String, who: String, own: String
  ) throws(IorunError) -> Int {
    let version = min(newest, other.newest)
    guard version >= oldest, version >= other.oldest else {
      throw IorunError(
        .versionMismatch,
        "\(who) speaks version \(other) of the \(protocolName), \(own) \(self)",
        remedy: other.newest < oldest
          ? "Install a newer release of iorun there, or the same on both"
          : "Install the same release of iorun on both")
    }
    return version
  }

  /// For people: `1`, or `1 to 2`.
  public var description: String { oldest == newest ? "\(newest)" : "\(oldest) to \(newest)" }
}
