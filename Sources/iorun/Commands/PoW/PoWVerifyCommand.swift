internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunPoW

/// `iorun pow open`: says what a device must open of its work.
struct PoWOpenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "open",
    abstract: "Say what a device must open of the work that it committed to.",
    discussion: """
      Ask once for each challenge: whoever may try several commitments can guess the openings. The \
      head's verifier refuses the second.
      """)

  @Argument(help: "The commitment.", completion: .file())
  var commitment: String

  @Option(help: "The file of the verifier's secret.", completion: .file())
  var secret: String

  @Option(name: [.customShort("o"), .customLong("output")], help: "Where to (default: stdout).")
  var output: String?

  func run() async throws {
    let commitment = try PoWFiles.read(Commitment.self, commitment)
    let verifier = Verifier(try ChallengeIssuer(secret: PoWFiles.secret(secret)))
    do {
      let request = try verifier.request(
        for: commitment, from: .anybody, epoch: commitment.challenge.epoch,
        nowMilliseconds: PoWFiles.nowMilliseconds)
      try PoWFiles.write(request, to: output)
    } catch let refusal as Refusal {
      throw IorunError(
        .proofRefused, "the commitment is refused (\(refusal.rawValue)): \(refusal.explanation)",
        remedy: "Ask for a new challenge")
    }
  }
}

/// `iorun pow verify`: checks a proof.
struct PoWVerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check a proof; the exit status is 1 where it is refused.",
    discussion: "The rate is the work that the proof shows, from the challenge to its arrival.")

  @Argument(help: "The proof.", completion: .file())
  var proof: String

  @Option(help: "The file of the verifier's secret.", completion: .file())
  var secret: String

  @Option(
    help: "When the answer, or its commitment, arrived, in ms since 1970 UTC (default: now).")
  var arrived: Int64?

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  func run() async throws {
    let proof = try PoWFiles.read(Proof.self, proof)
    let verifier = Verifier(try ChallengeIssuer(secret: PoWFiles.secret(secret)))
    let arrival = arrived ?? PoWFiles.nowMilliseconds
    let verdict = try await Blocking.run {
      try verifier.verdict(
        on: proof, from: .anybody, epoch: proof.challenge.epoch, arrivalMilliseconds: arrival)
    }
    if json {
      Output.write(try JSONOutput.line(PoWVerdictView(verdict)))
    } else if let refusal = verdict.refusal {
      Output.write("refused (\(refusal.rawValue)): \(refusal.explanation)\n")
    } else {
      Output.write(
        "accepted: \(verdict.kind.rawValue), "
          + "\(Int64(min(verdict.rate, 1e18))) \(verdict.kind.unit) over \(verdict.seconds) s\n")
    }
    if verdict.refusal != nil { throw ExitCode(1) }
  }
}

/// A verdict as `iorun pow verify --json` prints it.
struct PoWVerdictView: Encodable {
  let isAccepted: Bool
  let verdict: Verdict
  let rate: Double
  let unit: String
  let explanation: String?

  init(_ verdict: Verdict) {
    isAccepted = verdict.isAccepted
    self.verdict = verdict
    rate = verdict.rate
    unit = verdict.kind.unit
    explanation = verdict.refusal?.explanation
  }
}
