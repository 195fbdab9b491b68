internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPath

/// `iorun relay`: carries ciphertext between nodes that cannot reach each other.
struct RelayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "relay", abstract: "Run a relay for nodes behind NATs, until interrupted.",
    discussion: """
      Needs a port that others can reach, by UDP and by TCP, and a ticket of role supplier the \
      first time: iorun relay --head TICKET. The head tells nodes of it, and gives it to the pairs \
      for which it is on the shortest way. It sees ciphertext only.
      """)

  @OptionGroup var client: ClientOptions

  @Option(help: "The UDP port, and the TCP port for those whose UDP is blocked.")
  var port: UInt16 = 3478

  @Option(
    name: .customLong("tcp-port"), help: "Another TCP port, for example 443; 0: none.")
  var streamPort: UInt16?

  @Option(
    help: "The addresses, without ports, at which others reach this machine (default: its own).")
  var advertise: [String] = []

  @Option(help: "The relay's name (default: the host's).")
  var name: String?

  func validate() throws {
    for text in advertise where SocketAddress(host: text, port: 1) == nil {
      throw ValidationError("--advertise takes an IPv4 or IPv6 address, not '\(text)'")
    }
  }

  func run() async throws {
    let given = streamPort ?? port
    OpenFileLimit.raise()
    let server = try RelayServer(
      port: port, streamPort: given == 0 && streamPort != nil ? nil : given,
      secret: try SecureRandom.bytes(32))
    defer { server.stop() }
    let chosen = advertise.compactMap { SocketAddress(host: $0, port: server.port) }
    let name = self.name ?? ProcessInfo.processInfo.hostName
    Output.write("relay \(name) serves UDP port \(server.port), TCP port \(given)\n")
    try await Signals.cancelling {
      while !Task.isCancelled {
        do {
          try await client.withHead { head in
            try await serve(head, server, name, chosen, streamPort: given)
          }
        } catch is CancellationError {
          return
        } catch let error as IorunError
          where error.code == .unreachable || error.code == .peerLost || error.code == .timedOut
        {
          // The head is away; what was allotted is carried on.
          try await Task.sleep(for: .seconds(2))
        }
      }
    }
  }

  private func serve(
    _ head: HeadConnection, _ server: RelayServer, _ name: String, _ chosen: [SocketAddress],
    streamPort: UInt16
  ) async throws {
    while true {
      let addresses = chosen.isEmpty ? OwnAddresses.all(port: server.port) : chosen
      try await head.rendezvous.offerRelay(
        RelayRegistration(
          name: name, addresses: Array(addresses.prefix(RelayPass.addressLimit)),
          streamPort: streamPort, secret: server.secret, bytes: server.takeBytes()))
      try await Task.sleep(for: .seconds(5))
    }
  }
}
