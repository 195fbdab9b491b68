internal import IorunContract
internal import IorunCore

/// Tenants: what they may take, what they have had.
extension JobDirector {
  /// Keeps what tenants have had. Throws what the store throws.
  func saveUsage() async throws { try await store.save(line.usage(at: clock.now())) }

  /// A tenant may take this from now on. Throws `specInvalid`, `overloaded`, and what the store throws.
  func set(_ quota: TenantQuota) async throws -> TenantStatus {
    try quota.check()
    guard line.quotas[quota.tenant] != nil || line.quotas.count < TenantQuota.most else {
      throw IorunError(
        .overloaded, "the network has its most of \(TenantQuota.most) quotas",
        remedy: "Remove one: `iorun quota remove TENANT`")
    }
    try await store.save(quota, of: quota.tenant)
    try line.set(quota)
    placeSoon()
    return status(of: quota.tenant)
  }

  /// A tenant has no quota any more. Throws `notFound`, and what the store throws.
  func removeQuota(of tenant: String) async throws {
    guard line.quotas[tenant] != nil else {
      throw IorunError(
        .notFound, "there is no quota for '\(tenant.prefix(TenantQuota.nameLimit))'",
        remedy: "List them: `iorun quota list`")
    }
    try await store.save(nil as TenantQuota?, of: tenant)
    try line.removeQuota(of: tenant)
    placeSoon()
  }

  /// All tenants that have a quota or hold something, by name.
  func tenants() -> [TenantStatus] {
    let holders = live.values.filter { !$0.lifecycle.heldSeats.isEmpty }
      .map { authoriser.peers.tenantName(of: $0.lifecycle.record.owner) }
    return Set(line.quotas.keys).union(holders).sorted().prefix(TenantQuota.most).map(status)
  }

  private func status(of tenant: String) -> TenantStatus {
    var held = ResourceSet()
    for job in live.values
    where authoriser.peers.tenantName(of: job.lifecycle.record.owner) == tenant {
      for _ in job.lifecycle.heldSeats { held = held + job.lifecycle.record.spec.gang.resources }
    }
    return TenantStatus(
      tenant: tenant, quota: line.quotas[tenant], held: held,
      share: line.share(of: tenant, at: clock.now()))
  }
}
