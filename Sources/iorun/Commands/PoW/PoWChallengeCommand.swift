internal import ArgumentParser
internal import IorunClient
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW

/// `iorun pow challenge`: a challenge for a device.
struct PoWChallengeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "challenge",
    abstract: "Write a challenge for a device.",
    discussion: """
      The same device, hour, beacon, kind and round give the same challenge. Sizes that are not \
      given fit a test of some seconds on one core.
      """)

  @Argument(help: "cpu.hash, cpu.lane, mem, gpu.mm or gpu.mem.")
  var kind: String

  @Option(help: "The device's public key (iorun pow device).")
  var device: String

  @Option(help: "The file of the verifier's secret; made where none is.", completion: .file())
  var secret: String

  @Option(help: "The round within the hour, 0 to 63.")
  var round = 0

  @Option(help: "The beacon, 64 hexadecimal digits (default: drawn).")
  var beacon: String?

  @Option(help: "Seconds until the answer, or the commitment, must be there.")
  var within = 600

  @Option(help: "cpu.hash: milliseconds of searching.")
  var milliseconds = 5000

  @Option(help: "cpu.lane and mem: claimed cores; gpu.mem: groups of 48 walkers.")
  var cores = 1

  @Option(help: "cpu.lane: depth of a lane's tree.")
  var depth = 12

  @Option(name: .customLong("node-steps"), help: "cpu.lane: steps of a node.")
  var nodeSteps = 1024

  @Option(help: "mem and gpu.mem: claimed memory, for example 1GiB.")
  var memory = "256MiB"

  @Option(help: "mem and gpu.mem: segments of a walker's way, 64 steps each.")
  var segments = 512

  @Option(help: "gpu.mm: rows and columns, in steps of 128.")
  var size = 4096

  @Option(help: "gpu.mm: products, one after the other.")
  var layers = 1

  @Option(name: [.customShort("o"), .customLong("output")], help: "Where to (default: stdout).")
  var output: String?

  func run() async throws {
    guard let id = DeviceID(device) else {
      throw IorunError(
        .specInvalid, "'\(device.prefix(80))' is not a device's public key",
        remedy: "Use what `iorun pow device --key FILE` prints")
    }
    guard (1...86_400).contains(within) else {
      throw IorunError(.specInvalid, "--within is 1 to 86400 seconds")
    }
    let now = PoWFiles.nowMilliseconds
    let challenge = try ChallengeIssuer(secret: PoWFiles.secret(secret)).challenge(
      puzzle(), for: id, epoch: EpochSchedule.epoch(atSeconds: now / 1000), beacon: drawn(),
      round: round, opensAtMilliseconds: now,
      deadlineMilliseconds: now + Int64(within) * 1000)
    try PoWFiles.write(challenge, to: output)
  }

  private func drawn() throws -> Digest {
    guard let beacon else {
      return SHA256.digest(of: try SecureRandom.bytes(SigningKey.byteCount))
    }
    guard let digest = Digest(beacon) else {
      throw IorunError(.specInvalid, "a beacon has 64 hexadecimal digits")
    }
    return digest
  }

  private func puzzle() throws -> Puzzle {
    switch PuzzleKind(rawValue: kind) {
    case .hash: return try .hash(HashPuzzle(milliseconds: milliseconds))
    case .lane: return try .lane(LanePuzzle(cores: cores, depth: depth, nodeSteps: nodeSteps))
    case .memory, .gpuMemory:
      guard let bytes = Bytes(memory), let labels = Int(exactly: bytes.rawValue / 32) else {
        throw IorunError(.specInvalid, "'\(memory)' is no amount of memory")
      }
      let puzzle = try MemoryPuzzle(labels: labels, cores: cores, segments: segments)
      return kind == PuzzleKind.memory.rawValue ? .memory(puzzle) : .gpuMemory(puzzle)
    case .product: return try .product(ProductPuzzle(size: size, layers: layers))
    case nil:
      throw IorunError(
        .specInvalid, "'\(kind)' is no kind of puzzle",
        remedy: "Use one of: \(PuzzleKind.allCases.map(\.rawValue).joined(separator: ", "))")
    }
  }
}
