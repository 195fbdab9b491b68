import IorunContract
import IorunCore
import IorunMesh
import Testing

@testable import IorunHead

@Suite("Tickets")
struct TicketBookTests {
  /// The rig's first ticket has key 201, the second 202.
  private func ticketPeer(_ number: UInt8 = 201) throws -> PeerID {
    try PeerDirectory.id(of: sampleKey(number))
  }

  private func create(_ rig: Rig, uses: Int = 1, lifetime: Double = 60) async throws {
    _ = try await rig.services.network.createTicket(
      TicketRequest(role: .supplier, uses: uses, lifetimeSeconds: lifetime, label: "lab"),
      caller: rig.operatorID)
  }

  private func admit(_ rig: Rig, _ number: UInt8) async throws -> Admission {
    try await rig.services.admission.admit(
      publicKey: sampleKey(number), name: "new", caller: ticketPeer())
  }

  @Test("a ticket admits a peer with its role and a certificate that others can check")
  func admits() async throws {
    try await withRig { (rig) async throws in
      try await create(rig)
      let standing = try #require(rig.services.peers.admits(publicKey: sampleKey(201)))
      #expect(standing.peer == (try ticketPeer()) && standing.role == nil)
      #expect(rig.services.peers.admits(publicKey: sampleKey(50)) == nil)
      let admission = try await admit(rig, 50)
      #expect(rig.services.peers.admits(publicKey: sampleKey(50))?.role == .supplier)
      let trust = try NetworkTrust(pinning: admission.trust)
      let certificate = try trust.check(
        admission.certificate, of: sampleKey(50), roles: [.supplier], at: rig.clock.now())
      #expect(certificate.peer == admission.peer && certificate.role == .supplier)
      #expect(certificate.network == rig.services.networkID)
      #expect(trust.bundle.authorities.map(\.key) == [rig.services.authorityKey])
    }
  }

  @Test("the same peer joining again is no second use; another peer is")
  func uses() async throws {
    try await withRig { (rig) async throws in
      try await create(rig, uses: 1)
      let first = try await admit(rig, 50)
      #expect(try await admit(rig, 50) == first)
      await expect(throwsCode: .ticketSpent) { try await admit(rig, 51) }
      let tickets = try await rig.services.network.tickets(caller: rig.operatorID)
      #expect(tickets.map(\.usesLeft) == [0])
    }
  }

  @Test("an expired ticket says so, and its key still gets that answer after a restart")
  func expired() async throws {
    try await withRig { (rig) async throws in
      try await create(rig, lifetime: 60)
      rig.time.advance(by: .seconds(61))
      await expect(throwsCode: .ticketExpired) { try await admit(rig, 50) }
      await rig.kill()
      try await rig.open()
      #expect(rig.services.peers.admits(publicKey: sampleKey(201)) != nil)
      #expect(rig.services.peers.role(of: rig.buyer) == .buyer)
      await expect(throwsCode: .ticketExpired) { try await admit(rig, 50) }
    }
  }

  @Test("a revoked ticket admits nobody, and only operators manage tickets")
  func revoked() async throws {
    try await withRig { (rig) async throws in
      try await create(rig, uses: 5)
      let id = try await rig.services.network.tickets(caller: rig.operatorID)[0].id
      await expect(throwsCode: .notAllowed) {
        try await rig.services.network.revokeTicket(id, caller: rig.buyer)
      }
      try await rig.services.network.revokeTicket(id, caller: rig.operatorID)
      await expect(throwsCode: .ticketSpent) { try await admit(rig, 50) }
      await expect(throwsCode: .notFound) {
        try await rig.services.network.revokeTicket("ticket-x", caller: rig.operatorID)
      }
    }
  }

  @Test("who is no ticket is told that the head does not know the ticket")
  func unknown() async throws {
    try await withRig { (rig) async throws in
      await expect(throwsCode: .ticketInvalid) {
        try await rig.services.admission.admit(
          publicKey: sampleKey(50), name: "x", caller: .sample(3))
      }
    }
  }
}
