internal import GRDB
internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The table `tenants`: what tenants have had, and what they may take.
extension Store {
  func usage() async throws -> [String: FairShare.Usage] {
    try await read { db in
      let rows = try Row.fetchAll(db, sql: "SELECT tenant, usage FROM tenants WHERE usage NOT NULL")
      return Dictionary(
        uniqueKeysWithValues: try rows.map {
          ($0["tenant"], try StoredJSON.value(FairShare.Usage.self, $0["usage"]))
        })
    }
  }

  func save(_ usage: [String: FairShare.Usage]) async throws {
    try await write { db in
      for (tenant, usage) in usage {
        try db.execute(
          sql: """
            INSERT INTO tenants (tenant, usage) VALUES (?, ?)
            ON CONFLICT (tenant) DO UPDATE SET usage = excluded.usage
            """, arguments: [tenant, try StoredJSON.text(usage)])
      }
    }
  }

  func quotas() async throws -> [TenantQuota] {
    try await read { db in
      try String.fetchAll(db, sql: "SELECT quota FROM tenants WHERE quota NOT NULL ORDER BY tenant")
        .map { try StoredJSON.value(TenantQuota.self, $0) }
    }
  }

  /// Keeps a tenant's quota, or forgets it.
  func save(_ quota: TenantQuota?, of tenant: String) async throws {
    try await write { db in
      try db.execute(
        sql: """
          INSERT INTO tenants (tenant, quota) VALUES (?, ?)
          ON CONFLICT (tenant) DO UPDATE SET quota = excluded.quota
          """, arguments: [tenant, try StoredJSON.text(optional: quota)])
    }
  }
}
