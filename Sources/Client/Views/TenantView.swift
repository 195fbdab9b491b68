public import IorunContract
internal import IorunCore

/// A tenant in JSON: each entry of `TenantsView`.
public struct TenantView: Encodable, Sendable {
  let tenant: String
  let cohort: String?
  let quota: ResourceView?
  let mostBorrowed: ResourceView?
  let weight: Double
  let held: ResourceView
  let share: Double

  /// Shows a tenant.
  public init(_ status: TenantStatus) {
    tenant = status.tenant
    cohort = status.quota?.cohort
    quota = status.quota.map { ResourceView($0.nominal) }
    mostBorrowed = status.quota?.borrowing.map(ResourceView.init)
    weight = status.quota?.weight ?? 1
    held = ResourceView(status.held)
    share = status.share
  }
}

/// Tenants in JSON: `tenants`.
public struct TenantsView: Encodable, Sendable {
  let tenants: [TenantView]

  /// Shows tenants.
  public init(_ tenants: [TenantStatus]) { self.tenants = tenants.map(TenantView.init) }
}
