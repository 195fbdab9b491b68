internal import GRDB
internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// A device as the head keeps it: a row of `devices`.
struct DeviceRecord: Sendable, Hashable {
  var node: PeerID
  var profile: ProverProfile
  var state: DeviceState
  var mark: DeviceMark
  var connection: ConnectionRecord?

  var id: DeviceID { profile.device }
}

/// What is written together: devices as they are, and what led there.
struct ProofBatch: Sendable {
  var devices: [DeviceID: DeviceRecord] = [:]
  var transitions: [(entry: Transition, time: Double)] = []
  var verdicts: [ProofRecord] = []

  var isEmpty: Bool { devices.isEmpty && transitions.isEmpty && verdicts.isEmpty }
}

/// The tables of proofs.
extension Store {
  func devices() async throws -> [DeviceRecord] {
    try await read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM devices").map { row in
        DeviceRecord(
          node: try row.named("node"),
          profile: try StoredJSON.value(ProverProfile.self, row["profile"]),
          state: try StoredJSON.value(DeviceState.self, row["state"]),
          mark: try StoredJSON.value(DeviceMark.self, row["mark"]),
          connection: try StoredJSON.value(optional: ConnectionRecord.self, row["connection"]))
      }
    }
  }

  func save(_ batch: ProofBatch) async throws {
    try await write { db in
      for device in batch.devices.values {
        // A node is one device, and so is each GPU: whoever lost its key is another one from then
        // on.
        let gpu = device.profile.gpu?.uuid ?? ""
        try db.execute(
          sql: "DELETE FROM devices WHERE node = ? AND gpu = ? AND id != ?",
          arguments: [device.node.description, gpu, device.id.description])
        try db.execute(
          sql: """
            INSERT OR REPLACE INTO devices (id, node, gpu, profile, state, mark, connection)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
          arguments: [
            device.id.description, device.node.description, gpu,
            try StoredJSON.text(device.profile), try StoredJSON.text(device.state),
            try StoredJSON.text(device.mark),
            try StoredJSON.text(optional: device.connection),
          ])
      }
      for record in batch.verdicts {
        let verdict = record.verdict
        // The first verdict of a place stands.
        try db.execute(
          sql: """
            INSERT OR IGNORE INTO verdicts (device, epoch, kind, round, record)
            VALUES (?, ?, ?, ?, ?)
            """,
          arguments: [
            verdict.device.description, verdict.epoch, verdict.kind.rawValue, verdict.round,
            try StoredJSON.text(record),
          ])
      }
      for (entry, time) in batch.transitions {
        try db.execute(
          sql: "INSERT INTO transitions (device, epoch, entry, time) VALUES (?, ?, ?, ?)",
          arguments: [
            entry.device.description, entry.epoch, try StoredJSON.text(entry), time,
          ])
      }
    }
  }

  /// Forgets devices that are there no more; what is on record of them stays.
  func forget(devices: [DeviceID]) async throws {
    try await write { db in
      for id in devices {
        try db.execute(sql: "DELETE FROM devices WHERE id = ?", arguments: [id.description])
      }
    }
  }

  /// The newest verdicts of a device.
  func verdicts(of device: DeviceID, limit: Int) async throws -> [ProofRecord] {
    try await read { db in
      try String.fetchAll(
        db,
        sql: """
          SELECT record FROM verdicts WHERE device = ? ORDER BY epoch DESC, round DESC LIMIT ?
          """,
        arguments: [device.description, limit]
      ).map { try StoredJSON.value(ProofRecord.self, $0) }
    }
  }

  /// The verdicts of all devices from `epoch` on.
  func verdicts(since epoch: Int64) async throws -> [ProofRecord] {
    try await read { db in
      try String.fetchAll(
        db, sql: "SELECT record FROM verdicts WHERE epoch >= ? ORDER BY epoch, round",
        arguments: [epoch]
      ).map { try StoredJSON.value(ProofRecord.self, $0) }
    }
  }

  /// The newest transitions of a device.
  func transitions(of device: DeviceID, limit: Int) async throws -> [TransitionRecord] {
    try await read { db in
      try Row.fetchAll(
        db, sql: "SELECT * FROM transitions WHERE device = ? ORDER BY number DESC LIMIT ?",
        arguments: [device.description, limit]
      ).map(Self.transition)
    }
  }

  /// All transitions of an epoch, in the order in which they came.
  func transitions(ofEpoch epoch: Int64) async throws -> [Transition] {
    try await read { db in
      try String.fetchAll(
        db, sql: "SELECT entry FROM transitions WHERE epoch = ? ORDER BY number",
        arguments: [epoch]
      ).map { try StoredJSON.value(Transition.self, $0) }
    }
  }

  /// The epochs before `epoch` that have transitions and no signed head yet, the oldest first.
  func openLogs(before epoch: Int64) async throws -> [Int64] {
    try await read { db in
      try Int64.fetchAll(
        db,
        sql: """
          SELECT DISTINCT epoch FROM transitions
          WHERE epoch < ? AND epoch NOT IN (SELECT epoch FROM verdict_logs) ORDER BY epoch
          """,
        arguments: [epoch])
    }
  }

  func save(_ head: VerdictLog.Head) async throws {
    try await write { db in
      try db.execute(
        sql: "INSERT OR IGNORE INTO verdict_logs (epoch, head) VALUES (?, ?)",
        arguments: [head.epoch, try StoredJSON.text(head)])
    }
  }

  /// The signed heads of some epochs.
  func verdictLogs(of epochs: Set<Int64>) async throws -> [VerdictLog.Head] {
    try await read { db in
      try epochs.sorted().compactMap { epoch in
        try String.fetchOne(
          db, sql: "SELECT head FROM verdict_logs WHERE epoch = ?", arguments: [epoch]
        ).map { try StoredJSON.value(VerdictLog.Head.self, $0) }
      }
    }
  }

  /// The newest signed head.
  func latestVerdictLog() async throws -> VerdictLog.Head? {
    try await read { db in
      try String.fetchOne(db, sql: "SELECT head FROM verdict_logs ORDER BY epoch DESC LIMIT 1")
        .map { try StoredJSON.value(VerdictLog.Head.self, $0) }
    }
  }

  /// Drops what is older than `epoch`. The signed heads stay.
  func pruneProofs(before epoch: Int64) async throws {
    try await write { db in
      try db.execute(sql: "DELETE FROM verdicts WHERE epoch < ?", arguments: [epoch])
      try db.execute(sql: "DELETE FROM transitions WHERE epoch < ?", arguments: [epoch])
    }
  }

  private static func transition(_ row: Row) throws -> TransitionRecord {
    TransitionRecord(
      number: row["number"], entry: try StoredJSON.value(Transition.self, row["entry"]),
      time: row["time"])
  }
}
