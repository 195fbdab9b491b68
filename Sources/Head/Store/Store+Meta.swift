internal import GRDB
internal import IorunCore

/// The table `meta`: single values.
extension Store {
  /// The highest fencing epoch that was ever granted.
  func epoch() async throws -> Int64 {
    try await read { db in
      try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'epoch'") ?? 0
    }
  }

  /// The network's name, drawn when the database was made.
  func networkID(orElse draw: @escaping @Sendable () throws -> String) async throws -> String {
    try await write { db in
      let known = try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'network'")
      if let known { return known }
      let drawn = try draw()
      try Self.setMeta("network", drawn, db)
      return drawn
    }
  }

  /// A value that was kept as text; `nil` where there is none.
  func meta(_ key: String) async throws -> String? { try await read { try Self.meta(key, $0) } }

  static func meta(_ key: String, _ db: Database) throws -> String? {
    try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key])
  }

  static func setMeta(_ key: String, _ value: some DatabaseValueConvertible, _ db: Database) throws
  {
    try db.execute(
      sql: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", arguments: [key, value])
  }
}
