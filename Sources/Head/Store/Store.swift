internal import Foundation
internal import GRDB
internal import IorunCore

/// The head's memory on disk: a SQLite database in a folder that only its owner can read.
///
/// What a client or node was told is committed here first, with `synchronous=FULL`, so that it
/// survives `kill -9` and a power cut. Writes run one after the other on SQLite's own queue, in the
/// order in which they were asked for; reads run beside them.
final class Store: Sendable {
  private let pool: DatabasePool

  /// Opens or makes the database `head.sqlite` in `folder`.
  ///
  /// - Throws: `identityUnusable` where the file is damaged, `diskFull`, `fileSystem`.
  static func open(in folder: String) async throws -> Store {
    try await Blocking.run { try Store(folder: folder) }
  }

  private init(folder: String) throws {
    let path = folder + "/head.sqlite"
    try Self.makePrivate(folder: folder, file: path)
    var configuration = Configuration()
    configuration.foreignKeysEnabled = true
    configuration.busyMode = .timeout(5)
    configuration.label = "iorun-store"
    do {
      pool = try DatabasePool(path: path, configuration: configuration)
      // GRDB sets NORMAL when it turns WAL on; an acknowledged write must survive a power cut.
      try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      try StoreSchema.migrator.migrate(pool)
    } catch {
      throw StoreFailure.error(error, path: path)
    }
  }

  /// Runs `body` in one transaction: all of it is on disk once this returns, or none of it where
  /// this throws.
  func write<Result: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Result
  ) async throws -> Result {
    let path = pool.path
    return try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Result, any Error>) in
      // `asyncWrite` takes its place in the queue before it returns: the order of calls is kept.
      pool.asyncWrite(body) { _, result in
        continuation.resume(with: result.mapError { StoreFailure.error($0, path: path) })
      }
    }
  }

  /// Reads one consistent state.
  func read<Result: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Result
  ) async throws -> Result {
    do {
      return try await pool.read(body)
    } catch {
      throw StoreFailure.error(error, path: pool.path)
    }
  }

  /// Closes the database; every later call throws.
  func close() async throws {
    let pool = pool
    try await Blocking.run { try pool.close() }
  }

  /// The files beside the database (WAL, shared memory) take over its mode.
  private static func makePrivate(folder: String, file: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
    } catch {
      throw IorunError(
        .fileSystem, "the state folder '\(folder)' cannot be made",
        remedy: "Check the path and its permissions", cause: error)
    }
    guard chmod(folder, 0o700) == 0 else {
      throw IorunError.system("cannot protect", folder, errno: errno)
    }
    _ = try OpenFile(file, O_RDWR | O_CREAT, mode: 0o600)
    guard chmod(file, 0o600) == 0 else {
      throw IorunError.system("cannot protect", file, errno: errno)
    }
  }
}
