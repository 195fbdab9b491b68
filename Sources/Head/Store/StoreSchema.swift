internal import GRDB

/// The tables, and how older databases become newer ones. A migration that was released is never
/// changed; a new one is added below it.
enum StoreSchema {
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: the walking skeleton") { try $0.execute(sql: first) }
    migrator.registerMigration("networks of gangs") { try $0.execute(sql: gangNetworks) }
    migrator.registerMigration("2: owners and labels") { try $0.execute(sql: second) }
    migrator.registerMigration("proofs of work") { try $0.execute(sql: proofs) }
    migrator.registerMigration("markets") { try $0.execute(sql: markets) }
    migrator.registerMigration("a rating for each capability") { try $0.execute(sql: ratings) }
    migrator.registerMigration("what probes found") { try $0.execute(sql: probes) }
    migrator.registerMigration("what ranks used") { try $0.execute(sql: usage) }
    migrator.registerMigration("devices of GPUs") { try $0.execute(sql: gpuDevices) }
    return migrator
  }

  private static let proofs = """
    CREATE TABLE devices (
      id TEXT PRIMARY KEY NOT NULL,
      node TEXT NOT NULL UNIQUE,
      profile TEXT NOT NULL,
      state TEXT NOT NULL,
      mark TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE verdicts (
      device TEXT NOT NULL,
      epoch INTEGER NOT NULL,
      kind TEXT NOT NULL,
      round INTEGER NOT NULL,
      record TEXT NOT NULL,
      PRIMARY KEY (device, epoch, round, kind)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX verdicts_by_epoch ON verdicts (epoch);

    CREATE TABLE transitions (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      device TEXT NOT NULL,
      epoch INTEGER NOT NULL,
      entry TEXT NOT NULL,
      time REAL NOT NULL
    ) STRICT;
    CREATE INDEX transitions_by_device ON transitions (device, number);
    CREATE INDEX transitions_by_epoch ON transitions (epoch, number);

    CREATE TABLE verdict_logs (
      epoch INTEGER PRIMARY KEY NOT NULL,
      head TEXT NOT NULL
    ) STRICT;
    """

  /// Devices are rated anew within the hour; what led to the old marks had one rating for all.
  private static let ratings = """
    DELETE FROM devices;
    DELETE FROM transitions;
    """

  private static let probes = """
    ALTER TABLE devices ADD COLUMN connection TEXT;
    """

  /// A node is one device, and each of its GPUs another.
  private static let gpuDevices = """
    CREATE TABLE devices_with_gpus (
      id TEXT PRIMARY KEY NOT NULL,
      node TEXT NOT NULL,
      gpu TEXT NOT NULL DEFAULT '',
      profile TEXT NOT NULL,
      state TEXT NOT NULL,
      mark TEXT NOT NULL,
      connection TEXT,
      UNIQUE (node, gpu)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO devices_with_gpus (id, node, profile, state, mark, connection)
      SELECT id, node, profile, state, mark, connection FROM devices;
    DROP TABLE devices;
    ALTER TABLE devices_with_gpus RENAME TO devices;
    """

  private static let markets = """
    ALTER TABLE nodes ADD COLUMN promised_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE nodes ADD COLUMN served_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE nodes ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN course TEXT;

    CREATE TABLE tenants (
      tenant TEXT PRIMARY KEY NOT NULL,
      usage TEXT,
      quota TEXT
    ) STRICT, WITHOUT ROWID;
    """

  private static let usage = """
    ALTER TABLE ranks ADD COLUMN usage TEXT;
    """

  private static let gangNetworks = """
    ALTER TABLE jobs ADD COLUMN network TEXT;
    ALTER TABLE ranks ADD COLUMN tunnel TEXT;
    """

  private static let first = """
    CREATE TABLE meta (
      key TEXT PRIMARY KEY NOT NULL,
      value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE peers (
      id TEXT PRIMARY KEY NOT NULL,
      public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
      role TEXT NOT NULL,
      name TEXT NOT NULL,
      certificate BLOB NOT NULL,
      admitted_at REAL NOT NULL,
      revoked_at REAL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE tickets (
      id TEXT PRIMARY KEY NOT NULL,
      peer TEXT NOT NULL UNIQUE,
      public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
      role TEXT NOT NULL,
      uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
      created_at REAL NOT NULL,
      expires_at REAL NOT NULL,
      revoked INTEGER NOT NULL,
      label TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE ticket_uses (
      ticket TEXT NOT NULL REFERENCES tickets (id),
      peer TEXT NOT NULL REFERENCES peers (id),
      used_at REAL NOT NULL,
      PRIMARY KEY (ticket, peer)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE nodes (
      id TEXT PRIMARY KEY NOT NULL,
      name TEXT NOT NULL UNIQUE,
      facts TEXT NOT NULL,
      last_seen REAL NOT NULL,
      has_left INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE jobs (
      id TEXT PRIMARY KEY NOT NULL,
      submission_id TEXT NOT NULL,
      owner TEXT NOT NULL,
      spec TEXT NOT NULL,
      working_folder TEXT,
      state TEXT NOT NULL,
      attempt INTEGER NOT NULL,
      unstarted_attempts INTEGER NOT NULL,
      epoch INTEGER NOT NULL,
      ending TEXT,
      lost_nodes TEXT NOT NULL,
      reason TEXT,
      exit_status INTEGER,
      submitted_at REAL NOT NULL,
      started_at REAL,
      ended_at REAL,
      revision INTEGER NOT NULL,
      UNIQUE (owner, submission_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX jobs_by_state ON jobs (state);
    CREATE INDEX jobs_by_time ON jobs (submitted_at);
    CREATE INDEX jobs_by_owner ON jobs (owner, submitted_at);

    CREATE TABLE ranks (
      job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
      attempt INTEGER NOT NULL,
      rank INTEGER NOT NULL,
      node TEXT NOT NULL,
      node_name TEXT NOT NULL,
      address TEXT NOT NULL,
      gpu_indices TEXT NOT NULL,
      epoch INTEGER NOT NULL,
      state TEXT NOT NULL,
      stop_cause TEXT,
      executor TEXT,
      port INTEGER,
      cause TEXT,
      last_lines TEXT NOT NULL,
      PRIMARY KEY (job, attempt, rank)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outputs (
      job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
      attempt INTEGER NOT NULL,
      rank INTEGER NOT NULL,
      list TEXT NOT NULL,
      PRIMARY KEY (job, attempt, rank)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE events (
      revision INTEGER PRIMARY KEY AUTOINCREMENT,
      job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
      time REAL NOT NULL,
      kind TEXT NOT NULL,
      detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_by_job ON events (job);
    """

  private static let second = """
    ALTER TABLE peers ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    ALTER TABLE peers ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE tickets ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    ALTER TABLE tickets ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE nodes ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;
    """
}
