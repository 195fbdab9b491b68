import Foundation
public import IorunContract
public import IorunCore
internal import IorunSandbox
public import IorunTunnel
public import Logging

/// The gangs' networks of a node: a namespace each, a tunnel into it where the gang has several
/// nodes, a firewall. Namespaces have no names, so a killed agent leaves none behind: the kernel
/// removes them with the last rank, which its supervisor kills.
public actor GangNetworks: LeaseNetworks {
  /// The name of the tunnel's interface in every gang's namespace.
  public static let interface = "iorun0"

  /// How long ranks wait for the tunnel's sessions before they start without: a first packet that no
  /// session takes is lost, and TCP sends it again only after a second.
  static let sessionPatience = Duration.seconds(2)

  private struct Held {
    let seat: OverlaySeat
    var leases: Set<LeaseID>
    /// Makes the network; the same for every lease of the gang.
    let making: Task<LocalGangNetwork, any Error>
    /// Connects it, once a start named the members.
    var connecting: Task<Void, any Error>?
  }

  private let backend: any TunnelBackend
  private let paths: any GangPaths
  private let facts: NodeFacts
  private let addresses: @Sendable () -> [IPAddress]
  private let stateFolder: String
  private let internet: InternetAccess?
  private let limits: EgressLimits?
  private let logger: Logger
  private var held: [GangID: Held] = [:]
  /// Networks that are being removed: one of the same name is not made meanwhile.
  private var removing: [GangID: Task<Void, Never>] = [:]

  /// Makes networks by `backend`. `addresses` are those under which other nodes may reach this one,
  /// beside `facts.address`.
  public init(
    backend: any TunnelBackend, paths: any GangPaths = DirectPaths(), facts: NodeFacts,
    addresses: @escaping @Sendable () -> [IPAddress], stateFolder: String, logger: Logger
  ) {
    self.init(
      backend: backend, paths: paths, facts: facts, addresses: addresses, stateFolder: stateFolder,
      internet: nil, logger: logger)
  }

  /// The same; `internet` leads those gangs out that ask for it, `limits` are the rates of each one's
  /// tunnel.
  init(
    backend: any TunnelBackend, paths: any GangPaths = DirectPaths(), facts: NodeFacts,
    addresses: @escaping @Sendable () -> [IPAddress], stateFolder: String,
    internet: InternetAccess?, limits: EgressLimits? = nil, logger: Logger
  ) {
    self.limits = limits
    self.internet = internet
    self.backend = backend
    self.paths = paths
    self.facts = facts
    self.addresses = addresses
    self.stateFolder = stateFolder
    self.logger = logger
  }

  /// The networks that there are, for tests and for people.
  public var gangs: [GangID] { Array(held.keys) }

  /// Joins a lease to its gang's network, which is made where it is the first.
  public func prepare(_ grant: LeaseGrant) async throws -> TunnelMember? {
    guard let seat = grant.network else {
      throw IorunError(.malformed, "the grant \(grant.id) names no network")
    }
    try seat.check()
    let gang = GangID(grant.id)
    while let task = removing[gang] { await task.value }
    if held[gang] == nil {
      held[gang] = Held(
        seat: seat, leases: [],
        making: Task {
          try await self.make(gang, seat, isOpen: grant.spec.network == .internet)
        })
    }
    guard let network = held[gang], network.seat == seat else {
      throw IorunError(.malformed, "two ranks of gang \(gang) were given different networks")
    }
    held[gang]?.leases.insert(grant.id)
    do {
      return try await network.making.value.member
    } catch {
      await release(grant.id)
      throw error
    }
  }

  /// Connects the network with the first start; later ones wait for the same work.
  public func connect(_ lease: LeaseID, to gang: GangNetwork) async throws -> RankNetwork {
    let id = GangID(lease)
    guard let network = held[id], network.leases.contains(lease) else {
      throw IorunError(.notFound, "lease \(lease) has no network on this node")
    }
    try gang.check(network.seat)
    let local = try await network.making.value
    if held[id]?.connecting == nil {
      held[id]?.connecting = Task {
        let peers = try await local.connect(
          gang, id, paths: self.paths, hostname: self.facts.hostname)
        await local.waitForSessions(with: peers, atMost: Self.sessionPatience)
      }
    }
    try await held[id]?.connecting?.value
    return RankNetwork(
      namespace: local.namespace, folder: local.folder, interface: local.interface,
      addresses: local.addresses)
  }

  /// The last lease of a gang takes its network along.
  public func release(_ lease: LeaseID) async {
    let gang = GangID(lease)
    if held[gang]?.leases.remove(lease) != nil, held[gang]?.leases.isEmpty == true,
      let network = held.removeValue(forKey: gang)
    {
      removing[gang] = Task { [paths] in
        network.connecting?.cancel()
        _ = await network.connecting?.result
        await paths.detach(gang)
        if let local = try? await network.making.value { await local.remove() }
        self.removing[gang] = nil
      }
    }
    await removing[gang]?.value
  }

  /// Removes the folders that a killed agent left; its namespaces went with it. Throws `fileSystem`.
  public func removeLeftovers() async throws {
    let folder = Self.folder(stateFolder)
    try await Blocking.run {
      guard FileManager.default.fileExists(atPath: folder) else { return }
      do {
        try FileManager.default.removeItem(atPath: folder)
      } catch {
        throw FileFailure.error(error, "cannot remove", folder)
      }
    }
  }

  private func make(
    _ gang: GangID, _ seat: OverlaySeat, isOpen: Bool
  ) async throws -> LocalGangNetwork {
    if isOpen, internet == nil { throw InternetAccess.refusal }
    let folder = "\(Self.folder(stateFolder))/\(gang.job)-\(gang.attempt)"
    let local = try await LocalGangNetwork(
      seat, backend: backend, folder: folder, internet: isOpen ? internet : nil,
      limits: limits)
    guard let device = local.device, var member = local.member else { return local }
    let own = [IPAddress(facts.address)].compactMap { $0 } + addresses()
    var endpoints: [SocketAddress] = []
    for address in own where !address.isLinkLocal {
      let endpoint = SocketAddress(address, port: device.listenPort)
      if !endpoints.contains(endpoint) { endpoints.append(endpoint) }
    }
    member.endpoints = Array(endpoints.prefix(TunnelMember.endpointLimit))
    var announced = local
    announced.member = await paths.announce(member, of: gang, device: device)
    return announced
  }

  private static func folder(_ stateFolder: String) -> String { stateFolder + "/networks" }
}
