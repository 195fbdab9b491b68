internal import IorunContract
internal import IorunCore
public import IorunMesh
internal import IorunRuntime

/// Uses a ticket: proves its secret to the head, which admits the peer's own key.
public enum TicketHolder {
  /// Has the head admit `identity`. The same identity with the same ticket again is no second use.
  ///
  /// - Throws: `ticketExpired`, `ticketSpent`; `ticketInvalid` where the head does not know the
  ///   ticket; `unreachable`.
  public static func admit(_ identity: CurveKey, with ticket: Ticket, name: String) async throws {
    let head = CurveKey.peer(of: ticket.headKey)
    let endpoint = try ZeroMQEndpoint(
      identity: try ticket.key(),
      uplink: MeshUplink(address: "tcp://\(ticket.address)", key: ticket.headKey),
      instance: MeshInstance.draw())
    let system = MeshActorSystem(transport: endpoint)
    let result: Result<Void, any Error>
    do {
      try await endpoint.uplinkMonitor.waitUntilUp(within: .seconds(10))
      _ = try await Admissions.at(head, using: system)
        .admit(publicKey: identity.publicKey, name: name)
      result = .success(())
    } catch let error as IorunError where error.code == .keyNotAdmitted {
      result = .failure(
        IorunError(
          .ticketInvalid, "the head at \(ticket.address) does not know this ticket",
          remedy: "Ask its operator for a new one: `iorun ticket create`"))
    } catch {
      result = .failure(error)
    }
    // Nobody waits for the ticket's goodbye: on a long way it would delay the peer's own link by a
    // round trip.
    Task { await system.shutdown(within: .seconds(1)) }
    try result.get()
  }
}
