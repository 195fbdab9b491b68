internal import ArgumentParser
internal import Foundation
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW

/// `iorun pow`: proof of work, in the network and on files.
struct PoWCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pow",
    abstract: "See what nodes have proved; measure this machine, and prove and check, on files.",
    discussion: """
      A head that was started with --verification record or enforce asks its nodes for proofs every \
      hour; status, history and explain show what came of it.

      A verifier writes a challenge, a device solves it, the verifier checks the proof:
        iorun pow device --key device.key
        iorun pow challenge cpu.hash --device DEVICE --secret verifier.secret -o challenge.json
        iorun pow solve challenge.json --key device.key -o proof.json
        iorun pow verify proof.json --secret verifier.secret
      Other kinds than cpu.hash have a step between: the device commits to its work, and the \
      verifier says what to open (iorun pow open).
      """,
    subcommands: [
      PoWStatusCommand.self, PoWHistoryCommand.self, PoWExplainCommand.self,
      PoWBenchCommand.self, PoWDeviceCommand.self, PoWChallengeCommand.self,
      PoWSolveCommand.self, PoWOpenCommand.self, PoWVerifyCommand.self, PoWDiskCommand.self,
      PoWCatalogueCommand.self, PoWCalibrateCommand.self,
    ])
}

/// Files of the `pow` commands.
enum PoWFiles {
  /// Reads a document. Throws `fileMissing`, and what reading it as JSON throws.
  static func read<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
    let data: Data
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      data = try file.read(upToCount: ProofDocument.maximumByteCount + 1) ?? Data()
    } catch {
      throw IorunError(
        .fileMissing, "cannot read '\(path)'", remedy: "Check the path", cause: error)
    }
    return try ProofDocument.decode(type, from: data)
  }

  /// What this version knows of models, and what a file says of others, or better. Throws what reading
  /// it throws.
  static func catalogue(_ path: String) throws -> ModelCatalogue {
    let read = try read(ModelCatalogue.self, path)
    try read.check()
    var all = ModelCatalogue.builtIn
    for model in read.models { all.insert(model) }
    return all
  }

  /// Writes a document as a whole, so that a waiting reader never sees half of it; without a path,
  /// to stdout.
  static func write(_ value: some Encodable, to path: String?) throws {
    let data = try ProofDocument.encode(value)
    guard let path else {
      Output.write(data)
      return
    }
    do {
      try data.write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw IorunError(
        .fileSystem, "cannot write '\(path)'", remedy: "Check the folder and its permissions",
        cause: error)
    }
  }

  /// 32 secret bytes from a file; made, and put there, where there is none.
  static func secret(_ path: String) throws -> [UInt8] {
    let count = SigningKey.byteCount
    if FileManager.default.fileExists(atPath: path) {
      let bytes = try PrivateFile.read(path, maximum: count)
      guard bytes.count == count else {
        throw IorunError(
          .identityUnusable, "'\(path)' has \(bytes.count) bytes; a key has \(count)",
          remedy: "Name another file, or restore it from a backup")
      }
      return bytes
    }
    let bytes = try SecureRandom.bytes(count)
    try PrivateFile.write(bytes, to: path)
    return bytes
  }

  static var nowMilliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}
