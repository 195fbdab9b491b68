internal import ArgumentParser
internal import Foundation
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW

/// `iorun pow solve`: solves a challenge.
struct PoWSolveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "solve",
    abstract: "Solve a challenge and write the proof.",
    discussion: """
      Every kernel is tested first. Kinds other than cpu.hash write --commitment when the work is \
      done, wait until the verifier has put what to open at --opening (iorun pow open), and write \
      the proof then.
      """)

  @Argument(help: "The challenge.", completion: .file())
  var challenge: String

  @Option(help: "The file of the device's secret key.", completion: .file())
  var key: String

  @Option(name: [.customShort("o"), .customLong("output")], help: "Where to (default: stdout).")
  var output: String?

  @Option(help: "Where to write the commitment.", completion: .file())
  var commitment: String?

  @Option(help: "Where the verifier puts what to open.", completion: .file())
  var opening: String?

  @Option(help: "Threads (default: all cores).")
  var threads: Int?

  @Option(name: .customLong("max-memory"), help: "The most memory to take, for example 4GiB.")
  var maximumMemory = "1GiB"

  @Option(help: "Do gpu.mm and gpu.mem on this GPU, from 0 (default: on the CPU).")
  var gpu: Int?

  func run() async throws {
    let challenge = try PoWFiles.read(Challenge.self, challenge)
    let signer = ProofSigner.device(try SigningKey(rawRepresentation: PoWFiles.secret(key)))
    guard let memory = Bytes(maximumMemory), let limit = Int(exactly: memory.rawValue) else {
      throw IorunError(.specInvalid, "'\(maximumMemory)' is no amount of memory")
    }
    let files = try openingFiles(challenge)
    try await Blocking.run { try KernelSelfTest.run() }
    let (index, threads) = (gpu, threads ?? ProcessInfo.processInfo.activeProcessorCount)
    // Opening a GPU and taking its memory blocks.
    let solver = try await Blocking.run {
      try Solver(
        challenge, threads: threads, memory: limit, gpu: index.map { try GPUDevice(index: $0) })
    }
    switch (try await solver.solve(), files) {
    case (.complete(let answer), _):
      try PoWFiles.write(Proof(challenge, answer, signedBy: signer), to: output)
    case (.committed(let work), let files?):
      try PoWFiles.write(
        Commitment(challenge, roots: work.roots, signedBy: signer), to: files.commitment)
      Output.writeError("committed to the work; waiting for '\(files.opening)'\n")
      let request = try await wait(for: files.opening)
      guard request.challenge == challenge else {
        throw IorunError(
          .wrongState, "'\(files.opening)' opens another challenge",
          remedy: "Remove it and run iorun pow open anew")
      }
      try PoWFiles.write(Proof(challenge, work.answer(to: request), signedBy: signer), to: output)
    case (.committed, nil):
      throw IorunError(.internalFault, "work that is committed to needs files")
    }
  }

  private func openingFiles(
    _ challenge: Challenge
  ) throws -> (commitment: String, opening: String)? {
    guard challenge.puzzle.rootCount > 0 else { return nil }
    guard let commitment, let opening else {
      throw IorunError(
        .specInvalid, "a \(challenge.puzzle.kind.rawValue) challenge has openings",
        remedy: "Give --commitment FILE and --opening FILE")
    }
    guard !FileManager.default.fileExists(atPath: opening) else {
      throw IorunError(
        .specInvalid, "'\(opening)' is there before the commitment",
        remedy: "Remove it, or name another file")
    }
    return (commitment, opening)
  }

  private func wait(for path: String) async throws -> OpeningRequest {
    while !FileManager.default.fileExists(atPath: path) {
      try await Task.sleep(for: .milliseconds(50))
    }
    return try PoWFiles.read(OpeningRequest.self, path)
  }
}
