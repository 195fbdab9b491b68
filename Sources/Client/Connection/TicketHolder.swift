internal import IorunCore
public import IorunMesh

/// Uses a ticket: the first connection proves its secret to the head and introduces the peer's own key,
/// which the head then admits. The same key with the same ticket again is no second use.
public enum TicketHolder {
  /// How the holder of a ticket dials the head.
  ///
  /// - Throws: what the derivation of the ticket's key throws.
  public static func uplink(with ticket: Ticket, name: String) throws -> MeshUplink {
    MeshUplink(
      address: "tcp://\(ticket.address)", key: ticket.headKey,
      introduction: try Introduction(ticket, name: name))
  }

  /// What an error means to whoever joins: a key that is not admitted is the ticket's.
  public static func explained(_ error: any Error, ticket: Ticket) -> any Error {
    guard let error = error as? IorunError, error.code == .keyNotAdmitted else { return error }
    return IorunError(
      .ticketInvalid, "the head at \(ticket.address) does not know this ticket",
      remedy: "Ask its operator for a new one: `iorun ticket create`")
  }
}
