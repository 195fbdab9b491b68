/// What a peer may do in the network. Fixed by the ticket with which it joined.
public enum Role: String, Codable, Sendable, Hashable, CaseIterable {
  /// Runs the network: sees and does everything.
  case `operator`
  /// Offers nodes.
  case supplier
  /// Submits jobs and sees its own.
  case buyer
}
