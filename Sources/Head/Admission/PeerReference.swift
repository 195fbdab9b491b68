internal import IorunCore

/// Finds what a person means by an id, the start of an id, or a name.
enum PeerReference {
  /// How many characters of an id are enough, where only one fits.
  private static let shortest = 4

  /// - Throws: `notFound`, also where several fit.
  static func find<Item>(
    _ reference: String, in items: [Item], by key: (Item) -> (id: PeerID, name: String)
  ) throws -> Item {
    if let id = PeerID(reference), let found = items.first(where: { key($0).id == id }) {
      return found
    }
    var fitting = items.filter { key($0).name == reference }
    if fitting.isEmpty, reference.count >= shortest {
      fitting = items.filter { key($0).id.description.hasPrefix(reference.lowercased()) }
    }
    guard fitting.count == 1, let found = fitting.first else {
      throw IorunError(
        .notFound,
        fitting.isEmpty
          ? "there is no node or peer '\(reference.prefix(64))'"
          : "'\(reference.prefix(64))' names \(fitting.count) nodes or peers",
        remedy: "Give an id of `iorun peers`, or the name of one node of `iorun nodes`")
    }
    return found
  }
}
