public import IorunContract
internal import IorunCore

/// A new ticket in JSON: `ticket create`. Its text is a secret and is shown this once.
public struct NewTicketView: Encodable, Sendable {
  let ticket: String
  let role: String
  let owner: String
  let labels: [String: String]
  let uses: Int
  let lifetimeSeconds: Double
  let label: String

  /// Shows the ticket that `request` made.
  public init(text: String, request: TicketRequest) {
    ticket = text
    role = request.role.rawValue
    owner = request.owner
    labels = request.labels
    uses = request.uses
    lifetimeSeconds = request.lifetimeSeconds
    label = request.label
  }
}

/// The tickets there are in JSON: `ticket list`.
public struct TicketsView: Encodable, Sendable {
  let tickets: [TicketView]

  /// One ticket, without its secret.
  struct TicketView: Encodable, Sendable {
    let id: String
    let role: String
    let owner: String
    let labels: [String: String]
    let usesLeft: Int
    let expiresAtUnixSeconds: Double
    let isRevoked: Bool
    let label: String
  }

  /// Shows tickets.
  public init(_ tickets: [TicketStatus]) {
    self.tickets = tickets.map {
      TicketView(
        id: $0.id, role: $0.role.rawValue, owner: $0.owner, labels: $0.labels,
        usesLeft: $0.usesLeft,
        expiresAtUnixSeconds: $0.expiresAt, isRevoked: $0.isRevoked, label: $0.label)
    }
  }
}
