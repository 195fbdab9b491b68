internal import Foundation
internal import IorunCore
internal import IorunCrypto
public import IorunMesh

/// What a client must know to reach a head with a key that is already admitted.
public struct NetworkFile: Codable, Sendable, Hashable {
  /// Where the head listens: `host:port`.
  public var headAddress: String
  /// The head's Curve25519 public key, in base 32.
  public var headKey: String
  /// How many nodes `iorun up` runs beside the head; 0 for a head by itself.
  public var nodeCount: Int

  /// Describes a network.
  public init(headAddress: String, headKey: [UInt8], nodeCount: Int) {
    self.headAddress = headAddress
    self.headKey = Base32.encode(headKey)
    self.nodeCount = nodeCount
  }

  /// The uplink to dial.
  ///
  /// - Throws: `identityUnusable` where the file names no valid key.
  public func uplink() throws -> MeshUplink {
    guard let key = Base32.decode(headKey), key.count == CurveKey.byteCount else {
      throw IorunError(.identityUnusable, "the network file names no valid head key")
    }
    return MeshUplink(address: "tcp://\(headAddress)", key: key)
  }

  /// Reads the file; `nil` where there is none.
  ///
  /// - Throws: `identityUnusable` where it is damaged.
  public static func load(_ path: String) throws -> NetworkFile? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    do {
      return try JSONDecoder().decode(
        NetworkFile.self, from: Data(try PrivateFile.read(path, maximum: 64 * 1024)))
    } catch let error as IorunError {
      throw error
    } catch {
      throw IorunError(
        .identityUnusable, "\(path) is damaged",
        remedy: "Stop the network, remove the file and start it again", cause: error)
    }
  }

  /// Writes the file, for its owner only.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  public func save(_ path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try PrivateFile.write([UInt8](try encoder.encode(self)), to: path)
  }
}
