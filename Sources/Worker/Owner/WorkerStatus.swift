internal import Foundation
public import IorunCore
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

  /// How the device stands with its proofs of work.
  public struct Proof: Hashable, Sendable, Codable {
    /// The challenge that it worked on last.
    public struct Last: Hashable, Sendable, Codable {
      /// The kind of work.
      public var kind: String
      /// `submitted`, `stopped` (jobs wanted the machine) or `failed`.
      public var state: String
      /// The head's verdict; `nil` where there is none.
      public var isAccepted: Bool?
      /// Why it was refused.
      public var refusal: String?
      /// What the head measured, in `unit` a second.
      public var rate: Double?
      /// The kind's unit.
      public var unit: String
      /// Why it stopped or failed.
      public var reason: String?
      /// Seconds since 1970 (UTC) when it ended.
      public var at: Double
    }

    /// The device.
    public var device: String
    /// `pending`, `verified` or `failed`, as the head's records say.
    public var mark = ""
    /// The reason of the last transition.
    public var reason: String?
    /// The last epoch (hour since 1970) for which `verified` is good.
    public var untilEpoch: Int64?
    /// The kind of work that it does now; `nil` for none.
    public var working: String?
    /// The last work; `nil` before any.
    public var last: Last?
    /// The last work of each kind.
    public var latest: [Last] = []
  }

  /// What the guard of the machine saw.
  public struct GuardRecord: Hashable, Sendable, Codable {
    /// One process that it did not leave alone, and the evidence.
    public struct Incident: Hashable, Sendable, Codable {
      /// Seconds since 1970 (UTC).
      public var at: Double
      /// Its id on the machine.
      public var processID: Int32
      /// The file of its program.
      public var program: String
      /// `container`, `runtime`, or `host` for one that only used a leased device.
      public var kind: String
      /// Whether it was stopped; else it was only reported.
      public var isStopped: Bool
      /// Why.
      public var reason: String
      /// SHA-256 over its arguments, which may hold secrets.
      public var argumentsHash: String
      /// Its control groups, as /proc/PID/cgroup has them.
      public var groups: String
      /// The namespaces that it is in, by kind.
      public var namespaces: [String: String]
      /// The leased devices that it had open.
      public var devices: [String]
    }

    /// `shared` or `exclusive`.
    public var mode: String
    /// Whether it only says what it would stop.
    public var isDryRun: Bool
    /// Whether the kernel tells of each process as it begins; else they are looked for every 5 s.
    public var hasKernelEvents = false
    /// How many were stopped.
    public var stopped = 0
    /// How many were reported and left.
    public var reported = 0
    /// The latest, in order.
    public var incidents: [Incident] = []
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
  /// Its proofs; `nil` where the head asks for none.
  public var proof: Proof?
  /// What the guard saw; `nil` where none watches.
  public var guardRecord: GuardRecord?
  /// How far work is kept apart there, as the network is told; `nil` without a sandbox.
  public var isolation: NodeFacts.Isolation?

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
