/// Whether a node's owner lets it take new work. What runs there is not touched by it.
public struct NodeAvailability: Hashable, Codable, Sendable {
  /// Why it takes none, in the owner's words or those of a limit that the owner has set; `nil` while it
  /// takes work.
  public var hold: String?

  /// The node takes work.
  public static let open = NodeAvailability(hold: nil)

  /// The longest reason that a head takes, in bytes of UTF-8.
  public static let holdLimit = 200

  /// Describes an availability.
  public init(hold: String?) { self.hold = hold }
}
