import IorunContract
import IorunCore
import IorunSandbox

extension NodeAgentCore {
  /// Reserves, makes the folder, fetches. The same grant again gives the same answer.
  func prepare(_ grant: LeaseGrant) async throws -> LeasePrepared {
    try table.admit(grant)
    // A newer epoch overrules what an older one holds; its resources may be the ones we need.
    for lease in table.overruled(by: grant) { await remove(lease, cause: .gangStopped) }
    while let removal = held[grant.id]?.removal { await removal.value }
    let preparation = try held[grant.id]?.preparation ?? begin(grant)
    do {
      return try await preparation.value
    } catch {
      if held[grant.id]?.preparation == preparation { await remove(grant.id, cause: .cancelled) }
      throw describe(error, of: grant.id)
    }
  }

  /// Reserves, and starts the work. Where the same grant comes in twice, only the first gets here.
  private func begin(_ grant: LeaseGrant) throws -> Task<LeasePrepared, any Error> {
    try ReservedEnvironment.check(grant.spec.environment)
    try checkIsolation(grant)
    try table.reserve(grant)
    let folder = LeaseFolder(grant.id, stateFolder: settings.stateFolder)
    var lease = HeldLease(grant: grant, folder: folder)
    let preparation = Task { try await self.build(grant, folder) }
    lease.preparation = preparation
    held[grant.id] = lease
    return preparation
  }

  /// The machine's owner is asked as well as the head: a stranger's job runs in a sandbox or not at all.
  ///
  /// - Throws: `sandboxUnavailable`.
  private func checkIsolation(_ grant: LeaseGrant) throws {
    if sealed != nil { return }
    let mustBeSealed =
      grant.spec.isolation == .required
      || (grant.isForeign == true && facts.runsStrangersBare != true)
    guard !mustBeSealed else {
      throw IorunError(
        .sandboxUnavailable, "this node has no sandbox, and takes no job that has to run in one",
        remedy: "Use another node; `iorun doctor` there says what a sandbox lacks")
    }
  }

  private func build(_ grant: LeaseGrant, _ folder: LeaseFolder) async throws -> LeasePrepared {
    let id = grant.id
    var folder = folder
    try await machine.reserve(grant)
    if let gpuKeeper { try await gpuKeeper.prepare(gpus(of: grant), for: id) }
    CrashPoint.pass(.leaseReserved)
    let (executor, variables) = try await executors.acquire(id)
    held[id]?.executor = variables
    CrashPoint.pass(.leaseIdentified)
    try Task.checkCancellation()
    try table.setExecutor(executor, of: id)
    try await Blocking.run { [folder] in try folder.make() }
    CrashPoint.pass(.leaseFolderMade)
    try Task.checkCancellation()
    if let sealed {
      folder.scratch = try await Blocking.run { try sealed.open(grant) }
      folder.logs = sealed.vault.logs
      held[id]?.folder = folder
      CrashPoint.pass(.leaseScratchOpen)
      try Task.checkCancellation()
    }
    if let image = grant.spec.image {
      let ready = try await acquire(try ImageReference(image), for: grant, folder)
      held[id]?.image = ready
      try Task.checkCancellation()
    }
    if let workingFolder = grant.workingFolder {
      let work = folder.work
      try await retry(final: Retry.contentFaults) {
        try await self.content.stage(workingFolder, into: work)
      }
    }
    CrashPoint.pass(.leaseStaged)
    if let sealed { try await Blocking.run { sealed.give(id) } }
    CrashPoint.pass(.leaseGiven)
    let tunnel = grant.network == nil ? nil : try await networks.prepare(grant)
    try Task.checkCancellation()
    let port = try await rendezvousPort(grant)
    try Task.checkCancellation()
    let prepared = LeasePrepared(executor: executor, rendezvousPort: port, tunnel: tunnel)
    try table.setPrepared(prepared, of: id)
    CrashPoint.pass(.leasePrepared)
    held[id]?.reporting = Task { await self.reportChanges(of: id) }
    return prepared
  }

  private func gpus(of grant: LeaseGrant) -> [String] {
    grant.gpuIndices.filter(facts.gpus.indices.contains).map { facts.gpus[$0].uuid }
  }

  private func rendezvousPort(_ grant: LeaseGrant) async throws -> UInt16 {
    // In a network that was just made nothing listens yet; torchrun's own port is as good as any.
    if grant.network != nil { return 29500 }
    let taken = Set(table.entries.values.compactMap(\.state.port))
    let address = facts.address
    return try await Blocking.run { try FreePort.find(on: address, except: taken) }
  }

  private func describe(_ error: any Error, of lease: LeaseID) -> IorunError {
    if error is CancellationError {
      return IorunError(.cancelled, "lease \(lease) was stopped while it was prepared")
    }
    return error as? IorunError
      ?? IorunError(.internalFault, "lease \(lease) could not be prepared", cause: error)
  }
}
