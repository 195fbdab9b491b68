internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunWorker

/// `iorun doctor`: what this machine lacks as a node.
struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Look at this machine as a node: what it lacks, and what to do about it.",
    discussion: """
      Exits with 1 where something failed. --fix installs missing Debian packages (as root) and takes \
      rights off files that are nobody else's, and looks again.
      """)

  @OptionGroup var client: ClientOptions

  @Flag(help: "Do what can be done by itself.")
  var fix = false

  func run() async throws {
    var checks = try await examine()
    let fixes = checks.compactMap(\.fix)
    if fix, !fixes.isEmpty {
      try await Blocking.run { for each in fixes { try apply(each) } }
      checks = try await examine()
    }
    Output.write(
      client.json
        ? try JSONOutput.line(DoctorView(checks)) : HostCheckRendering.text(checks, isFixed: fix))
    if checks.contains(where: { $0.outcome == .failed }) { throw ExitCode(1) }
  }

  private func examine() async throws -> [HostCheck] {
    let doctor = HostDoctor(stateFolder: client.state.folder.node) {
      InstalledProgram.find($0) != nil
    }
    return try await doctor.examine(roundTripMilliseconds: await roundTrip())
  }

  /// To the nearest relay. A machine that may ask no head has none to measure by, which the check says.
  private func roundTrip() async -> Double? {
    let check = try? await client.withHead { try await NetCheck.run($0) }
    return check?.relays.first?.roundTripMilliseconds
  }

  private func apply(_ fix: HostCheck.Fix) throws {
    switch fix {
    case .install(let packages):
      Output.writeError("installing \(packages.joined(separator: ", "))\n")
      try SystemProgram.run("apt-get", ["install", "-y", "--no-install-recommends"] + packages)
    case .makePrivate(let path):
      guard chmod(path, 0o600) == 0 else {
        throw IorunError.system("cannot take rights off", path, errno: errno)
      }
    }
  }
}

/// `iorun doctor --json`.
private struct DoctorView: Encodable {
  struct Check: Encodable {
    let name: String
    let outcome: String
    let found: String
    let wanted: String
    let remedy: String?
    let isFixable: Bool
  }

  let checks: [Check]

  init(_ checks: [HostCheck]) {
    self.checks = checks.map {
      Check(
        name: $0.name, outcome: $0.outcome.rawValue, found: $0.found, wanted: $0.wanted,
        remedy: $0.remedy, isFixable: $0.fix != nil)
    }
  }
}
