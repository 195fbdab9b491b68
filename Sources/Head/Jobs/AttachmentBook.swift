public import IorunCore

/// Which clients' processes reach into ranks on which nodes, and until when. A pure value: time comes
/// as an argument. Nothing of it is stored: clients attach again after a restart of the head.
public struct AttachmentBook: Sendable {
  /// A process of a client, and the node of a rank that it reaches into.
  public struct Way: Hashable, Sendable {
    /// The process's address on the mesh.
    public var client: PeerID
    /// The node.
    public var node: PeerID
  }

  /// Processes of one client at once.
  static let mostOfOwner = 256
  /// All of them.
  static let most = 8192

  private struct Entry: Sendable {
    var owner: PeerID
    var endsAt: Duration
  }

  private var entries: [Way: Entry] = [:]

  /// What the mesh may relay.
  var ways: Set<Way> { Set(entries.keys) }

  /// Notes a way, or that it is wanted for longer; true where it is new.
  ///
  /// - Throws: `overloaded`.
  mutating func note(_ way: Way, of owner: PeerID, until endsAt: Duration) throws -> Bool {
    if entries[way] != nil {
      entries[way]?.endsAt = endsAt
      return false
    }
    guard entries.count < Self.most,
      entries.values.count(where: { $0.owner == owner }) < Self.mostOfOwner
    else {
      throw IorunError(
        .overloaded, "too many processes reach into ranks at once",
        remedy: "End some port-forwards, shells or copies")
    }
    entries[way] = Entry(owner: owner, endsAt: endsAt)
    return true
  }

  /// Drops what is over; true where something was.
  mutating func expire(at now: Duration) -> Bool {
    let before = entries.count
    entries = entries.filter { $0.value.endsAt > now }
    return entries.count != before
  }
}
