internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun port-forward`: ports of a running rank on this machine.
struct PortForward: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Reach ports of a running rank from this machine.",
    discussion: """
      Connections to LOCAL on this machine lead to REMOTE on the rank's loopback, or at its address \
      in its gang's network, until Ctrl-C or the rank's end. The node needs no open port. Only the \
      job's owner may, peers of its tenant, and operators; the job's history keeps the visits of \
      others than the owner.

        iorun port-forward notebook 8888
        iorun port-forward serve:1 9000:8000 9001:8001
      """)

  @OptionGroup var client: ClientOptions

  @Argument(
    help: "JOB for rank 0, or JOB:RANK. A job is its id, the start of its id, or its name.",
    completion: JobCompletion.running)
  var rank: String

  @Argument(help: "REMOTE, or LOCAL:REMOTE; LOCAL 0 takes a free port.")
  var ports: [String]

  @Option(help: "The address of this machine to listen on.")
  var bind = "127.0.0.1"

  func run() async throws {
    let reference = try RankReference(rank)
    let pairs = try ports.map { try PortForwarding.Pair($0) }
    let (client, bind) = (client, bind)
    do {
      try await Signals.cancelling {
        try await client.withHead { head in
          let rank = try await RankConnection.open(reference, at: head)
          let forwarding = try PortForwarding(pairs, on: bind, to: rank)
          for pair in forwarding.pairs {
            Output.write(
              client.json
                ? try JSONOutput.line(
                  View(
                    job: rank.job.id.description, rank: rank.rank, address: bind,
                    localPort: pair.local, remotePort: pair.remote))
                : "\(bind):\(pair.local) leads to port \(pair.remote) of \(rank.description)\n")
          }
          let ended: IorunError
          do {
            ended = try await forwarding.run { event in
              if case .failed(let pair, let error) = event {
                Output.writeError("port \(pair.remote): \(error.message)\n")
              }
            }
          } catch {
            await rank.close()
            throw error
          }
          await rank.close()
          throw ended
        }
      }
    } catch is CancellationError {
      // Ctrl-C is how it ends.
    }
  }

  private struct View: Encodable {
    var job: String
    var rank: Int
    var address: String
    var localPort: UInt16
    var remotePort: UInt16
  }
}
