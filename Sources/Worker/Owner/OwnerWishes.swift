internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// What a machine's owner wants of its node: kept in the node's folder, where the running agent looks
/// every two seconds, so that it holds over restarts and needs no connection to the agent.
public struct OwnerWishes: Hashable, Sendable, Codable {
  /// No new work until `iorun worker resume`.
  public var isPaused = false
  /// No new work, and the agent ends once nothing runs there.
  public var isLeaving = false
  /// Grows each time when what runs is to be ended at once.
  public var endings = 0
  /// When it may work.
  public var limits = OwnerLimits()

  /// What an owner wants who has said nothing.
  public init() {}

  /// Reads a node's folder; nothing is wanted where nothing was said.
  ///
  /// - Throws: `identityUnusable` where the file is damaged, or others may write it.
  public static func load(from folder: String) throws -> OwnerWishes {
    let path = folder + "/owner.json"
    guard FileManager.default.fileExists(atPath: path) else { return OwnerWishes() }
    let bytes = try PrivateFile.read(path, maximum: 64 * 1024)
    do {
      return try JSONDecoder().decode(OwnerWishes.self, from: Data(bytes))
    } catch {
      throw IorunError(
        .identityUnusable, "\(path) is damaged", remedy: "Run `iorun worker resume`, or remove it",
        cause: error)
    }
  }

  /// Keeps them in a node's folder.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  public func save(to folder: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try PrivateFile.write([UInt8](try encoder.encode(self)), to: folder + "/owner.json")
  }

  /// Why the node takes no new work at a moment; see ``OwnerLimits/hold(_:sinceUse:wasHot:)``.
  func hold(_ use: MachineUse, sinceUse: Duration?, wasHot: Bool) -> OwnerHold? {
    if isLeaving { return .leaving }
    if isPaused { return .paused }
    return limits.hold(use, sinceUse: sinceUse, wasHot: wasHot)
  }
}
