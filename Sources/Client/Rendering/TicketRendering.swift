public import IorunContract
internal import IorunCore

/// Tickets for people. `now` is in seconds since 1970.
public enum TicketRendering {
  /// The tickets as a table, in the order given.
  public static func table(_ tickets: [TicketStatus], now: Double) -> Table {
    Table(
      columns: [
        .init("TICKET"), .init("ROLE"), .init("OWNER", mayShrink: true),
        .init("USES LEFT", isRightAligned: true),
        .init("EXPIRES"), .init("LABEL", mayShrink: true),
      ],
      rows: tickets.map { ticket in
        let expiry =
          if ticket.isRevoked {
            "revoked"
          } else if ticket.expiresAt <= now {
            "expired"
          } else {
            "in \(Ages.duration(seconds: ticket.expiresAt - now))"
          }
        return [
          ticket.id, ticket.role.rawValue, ticket.owner.isEmpty ? "-" : ticket.owner,
          "\(ticket.usesLeft)", expiry, ticket.label,
        ]
      })
  }
}
