internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPath
internal import IorunSandbox

/// What a node is made of, from its membership and its machine.
extension NodeProcess {
  /// The key with which this device signs its proofs. Whoever loses it is another device.
  static func deviceKey(_ folder: String) throws -> SigningKey {
    let path = folder + "/device.key"
    do {
      return try SigningKey(
        rawRepresentation: PrivateFile.read(path, maximum: SigningKey.byteCount))
    } catch let error as IorunError where error.code == .fileMissing {
      let key = try SigningKey()
      try PrivateFile.write(key.rawRepresentation, to: path)
      return key
    }
  }

  /// What the node offers to runtime jobs, and where their files go.
  static func hubSettings(
    _ membership: NodeMembership, facts: NodeFacts, node: NodeID, agent: AgentSettings
  ) throws -> HubSettings {
    let offer = membership.offer ?? RuntimeOffer()
    let arena = try ArenaFile.defaultSize(
      memory: facts.memory, wish: offer.objectStoreMemory.map { Bytes(UInt64(max(0, $0))) })
    var settings = HubSettings(
      folder: agent.stateFolder, node: node, name: facts.name, address: facts.address,
      headAddress: membership.headAddress, total: try offer.total(facts, objectStore: arena),
      gpuCount: offer.gpus ?? facts.gpus.count, labels: offer.labels(node, facts),
      spillFolder: offer.spillFolder.map { "\($0)/iorun-\(node)" } ?? agent.stateFolder + "/spill",
      arenaBytes: arena,
      launcher: RuntimeLauncher(
        supervisor: agent.supervisor,
        searchPath: ProcessInfo.processInfo.environment["PATH"] ?? agent.searchPath,
        logLimit: agent.logLimit))
    if let watch = offer.memoryWatch { settings.memory = MemoryPressure.Settings(watch) }
    return settings
  }

  /// Ranks take from the hub's book of the machine.
  static func share(_ mailbox: HubMailbox) -> MachineShare {
    MachineShare { grant in
      let wanted = grant.spec.gang.resources
      let unit = ResourceAmounts.unitsPerOne
      let amounts = ResourceAmounts(units: [
        ResourceAmounts.cpu: Int64(wanted.milliCPUs) * (unit / 1000),
        ResourceAmounts.gpu: Int64(wanted.gpus) * unit,
        ResourceAmounts.memory: Int64(clamping: wanted.memory.rawValue) * unit,
      ])
      try await RuntimeHub.reserve(grant.id, amounts, gpus: grant.gpuIndices, mailbox)
    } release: { lease in
      mailbox.post { $0.scheduler.unreserve(lease.description, $0) }
    }
  }

  static func facts(
    _ membership: NodeMembership, stateFolder: String, gpus: any GPUProvider
  ) async throws -> NodeFacts {
    try await Blocking.run {
      let place = try localAddress(membership)
      var facts = HostDiscovery().facts(
        name: membership.name, address: place.address, interface: place.interface,
        stateFolder: stateFolder, gpus: gpus.gpus())
      if let limit = membership.milliCPUs { facts.milliCPUs = limit }
      // No more than there is: memory that is not there kills what runs.
      if let limit = membership.memory { facts.memory = min(facts.memory, limit) }
      if let limit = membership.gpuMemory {
        for index in facts.gpus.indices {
          facts.gpus[index].memory = min(facts.gpus[index].memory, limit)
        }
      }
      return facts
    }
  }

  static func localAddress(_ membership: NodeMembership) throws -> LocalAddress {
    if let address = membership.address {
      guard let interface = LocalAddress.interface(carrying: address) else {
        throw IorunError(
          .addressInUse, "this machine has no address \(address)",
          remedy: "Give one that `ip address` shows")
      }
      return LocalAddress(address: address, interface: interface)
    }
    let address = membership.headAddress
    let port = address.split(separator: ":").last.flatMap { UInt16($0) } ?? 1
    return try LocalAddress.toward(host: HostLookup.host(of: address), port: port)
  }

  /// A Unix socket's path has at most 107 bytes: a deep state folder gets a short one elsewhere.
  static func socketAddress(_ stateFolder: String, _ peer: PeerID) -> String {
    let path = stateFolder + "/agent.sock"
    if path.utf8.count <= 100 { return "ipc://" + path }
    return "ipc://\(NSTemporaryDirectory())/iorun-\(peer).sock"
  }
}
