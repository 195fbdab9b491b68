public import IorunContract
internal import IorunCore

/// Tenants for people.
public enum TenantRendering {
  /// Tenants as a table, in the order given.
  public static func table(_ tenants: [TenantStatus]) -> Table {
    Table(
      columns: [
        .init("TENANT", mayShrink: true), .init("COHORT", mayShrink: true), .init("QUOTA"),
        .init("MAY BORROW"), .init("WEIGHT", isRightAligned: true), .init("HOLDS"),
        .init("SHARE", isRightAligned: true),
      ],
      rows: tenants.map { tenant in
        let quota = tenant.quota
        return [
          tenant.tenant, quota?.cohort ?? "-",
          quota.map { $0.nominal == ResourceSet() ? "-" : "\($0.nominal)" } ?? "-",
          quota.map { $0.borrowing.map { "\($0)" } ?? "all there is" } ?? "-",
          "\(quota?.weight ?? 1)", "\(tenant.held)",
          "\((tenant.share * 1000).rounded() / 10) %",
        ]
      })
  }
}
