internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// What a node does for the network, for its owner: the agent keeps it in the node's folder.
public struct WorkerStatus: Hashable, Sendable, Codable {
  /// A rank or the processes of a program that run there.
  public struct Work: Hashable, Sendable, Codable {
    /// The job.
    public var job: String
    /// Which rank; `nil` for a program's processes.
    public var rank: Int?
    /// `preparing`, `prepared`, `running`, `ended`; how many processes a program has there.
    public var state: String
    /// Cores set aside, in thousandths.
    public var milliCPUs: Int
    /// Memory set aside.
    public var memoryBytes: UInt64
    /// GPUs set aside.
    public var gpus: Int
  }

  /// The agent's process.
  public var processID: Int32
  /// The node's name at the head.
  public var name: String
  /// Its peer id.
  public var node: String
  /// Where the head listens.
  public var head: String
  /// Whether the connection to the head stands.
  public var isConnected: Bool
  /// The round trip to the head.
  public var roundTripMilliseconds: Double?
  /// Seconds since 1970 (UTC) when the agent began.
  public var startedAt: Double
  /// Seconds since 1970 (UTC) when this was written.
  public var updatedAt: Double
  /// Why it takes no new work by its owner's will; `nil` while it does.
  public var hold: String?
  /// Cores that it offers, in thousandths.
  public var milliCPUs: Int
  /// GPUs that it offers.
  public var gpus: Int
  /// What runs there.
  public var work: [Work]

  private static let name = "/worker.json"

  /// Reads what an agent has last written; `nil` where none has.
  ///
  /// - Throws: `identityUnusable` where the file is damaged.
  public static func load(from folder: String) throws -> WorkerStatus? {
    let path = folder + name
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let bytes = try PrivateFile.read(path, maximum: 4 << 20)
    do {
      return try JSONDecoder().decode(WorkerStatus.self, from: Data(bytes))
    } catch {
      throw IorunError(
        .identityUnusable, "\(path) is damaged", remedy: "It is written anew within seconds",
        cause: error)
    }
  }

  /// Keeps it in a node's folder. Throws `fileSystem` or `diskFull`.
  func save(to folder: String) throws {
    try PrivateFile.write([UInt8](try JSONEncoder().encode(self)), to: folder + Self.name)
  }

  /// The same but for the time at which it was written.
  func isSame(as other: WorkerStatus?) -> Bool {
    var other = other
    other?.updatedAt = updatedAt
    other?.roundTripMilliseconds = roundTripMilliseconds
    return other == self
  }
}
