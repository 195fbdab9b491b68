internal import ArgumentParser
internal import Foundation
internal import IorunCore

/// One of the two processes of a call measurement: this same binary, run again by `CallsBenchmark`.
enum Party {
  /// Calls before the clock starts, with one outstanding.
  static let warmUpCalls = 500

  /// Where a server listens; its first and only line on stdout.
  struct Announcement: Codable {
    var address: String
    var key: [UInt8]
  }

  static func announce(address: String, key: [UInt8]) {
    printLine(Announcement(address: address, key: key))
  }

  static func printLine(_ value: some Encodable) {
    guard let data = try? JSONEncoder().encode(value) else { return }
    FileHandle.standardOutput.write(data + Data("\n".utf8))
  }

  /// Returns when whoever started this process closes its stdin or ends.
  static func waitForEndOfInput() { while !FileHandle.standardInput.availableData.isEmpty {} }

  static func exitAtEndOfInput() {
    Thread {
      waitForEndOfInput()
      exit(0)
    }.start()
  }
}

/// Runs one party; not for people.
struct PartyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "__party", shouldDisplay: false)

  @Argument var contender: Contender
  @Argument var carrier: Carrier
  @Argument var address: String
  @Option var outstanding: Int
  @Option var messageBytes = 100
  @Flag var encrypted = false
  @Option(help: "The server's key in base 32; makes this process the caller.") var key: String?
  @Option var server: Int32 = 0
  @Option var seconds = 1.0

  func run() async throws {
    let line = Line(
      carrier: carrier, isEncrypted: encrypted, outstanding: outstanding,
      messageBytes: messageBytes)
    guard let key else {
      switch contender {
      case .iorun: try ActorParty.serve(line, at: address)
      case .session: try SessionParty.serve(line, at: address)
      case .libzmq where line.isBulk: try BulkSocketParty.serve(line, at: address)
      case .libzmq: try SocketParty.serve(line, at: address)
      }
      return
    }
    let serverKey = Base32.decode(key) ?? []
    switch contender {
    case .iorun:
      Party.printLine(
        try await ActorParty.call(
          line, at: address, key: serverKey, server: server, seconds: seconds))
    case .session:
      Party.printLine(
        try await SessionParty.call(
          line, at: address, key: serverKey, server: server, seconds: seconds))
    case .libzmq where line.isBulk:
      Party.printLine(
        try BulkSocketParty.call(
          line, at: address, key: serverKey, server: server, seconds: seconds))
    case .libzmq:
      Party.printLine(
        try SocketParty.call(
          line, at: address, key: serverKey, server: server, seconds: seconds))
    }
  }
}
