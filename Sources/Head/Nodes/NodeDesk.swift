internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunMesh

/// What nodes ask for and tell: the directory keeps who is alive, the director what becomes of jobs.
struct NodeDesk: NodeService {
  let directory: NodeDirectory
  let map: NetworkMap
  let director: JobDirector
  let authoriser: Authoriser
  let authority: CertificateAuthority
  let options: HeadOptions

  private static let mostLeases = 100_000

  func register(_ registration: NodeRegistration, caller: PeerID) async throws -> NodeOrders {
    try authoriser.check(caller, may: .offerNode)
    try NodeFactsCheck.check(registration.facts)
    try Self.check(registration.leases.count)
    let availability = registration.availability ?? .open
    try Self.check(availability)
    for report in registration.leases { try LeaseReportCheck.check(report) }
    let unwanted = try await director.nodeReturned(caller, registration.leases)
    let running = registration.leases.filter { report in
      if case .ended = report.state { false } else { true }
    }
    let draining = Set(unwanted).intersection(running.map(\.id))
    let name = try await directory.register(
      registration.facts, draining: draining, availability: availability, node: caller)
    await map.claim(
      registration.facts, name: name, supplier: authoriser.peers.tenantName(of: caller),
      node: caller)
    await director.placeSoon()
    return await orders(for: caller, name: name, stop: unwanted)
  }

  func heartbeat(
    leases: [LeaseID], roundTripMilliseconds: Double?, caller: PeerID
  ) async throws -> NodeOrders {
    try authoriser.check(caller, may: .offerNode)
    try Self.check(leases.count)
    let name = await directory.heartbeat(
      caller, leases: leases, roundTripMilliseconds: roundTripMilliseconds)
    guard let name else {
      return await orders(for: caller, name: "", stop: [], registerAgain: true)
    }
    return await orders(
      for: caller, name: name, stop: await director.unwanted(leases, on: caller))
  }

  func announce(_ availability: NodeAvailability, caller: PeerID) async throws {
    try authoriser.check(caller, may: .offerNode)
    try Self.check(availability)
    guard await directory.setAvailability(caller, availability) else { return }
    if availability.hold == nil { await director.placeSoon() }
  }

  func report(_ report: LeaseReport, caller: PeerID) async throws {
    try authoriser.check(caller, may: .offerNode)
    try LeaseReportCheck.check(report)
    try await director.report(report, from: caller)
  }

  func appendLog(
    _ lease: LeaseID, epoch: Int64, offset: Int64, bytes: Data, caller: PeerID
  ) async throws -> Int64 {
    try authoriser.check(caller, may: .offerNode)
    return try await director.appendLog(
      lease, epoch: epoch, offset: offset, bytes: bytes, from: caller)
  }

  func measured(_ measurements: NodeMeasurements, caller: PeerID) async throws -> ProbeOrders {
    try authoriser.check(caller, may: .offerNode)
    return try await map.take(measurements, from: caller)
  }

  func leave(caller: PeerID) async throws {
    try authoriser.check(caller, may: .offerNode)
    await map.forget(caller)
    try await directory.leave(caller)
    await director.lose(caller, reason: "it left the network")
    try await director.settle()
  }

  private func orders(
    for node: PeerID, name: String, stop: [LeaseID], registerAgain: Bool = false
  ) async -> NodeOrders {
    // Many nodes speak less often, so that the head's time for them stays bounded.
    let scaled = Duration.microseconds(200) * (await directory.count)
    let heartbeat = min(max(options.liveness.heartbeat, scaled), .seconds(2))
    return NodeOrders(
      name: name, heartbeatMilliseconds: Int(heartbeat.inSeconds * 1000),
      fenceMilliseconds: Int(options.fenceAfter.inSeconds * 1000), stop: stop,
      registerAgain: registerAgain, trustSequence: authority.sequence,
      mark: await directory.mark(of: node))
  }

  private static func check(_ availability: NodeAvailability) throws {
    guard (availability.hold?.utf8.count ?? 0) <= NodeAvailability.holdLimit else {
      throw IorunError(
        .tooLarge, "a reason of more than \(NodeAvailability.holdLimit) bytes for taking no work")
    }
  }

  private static func check(_ leases: Int) throws {
    guard leases <= mostLeases else {
      throw IorunError(.tooLarge, "a node with \(leases) leases; at most \(mostLeases) are taken")
    }
  }
}
