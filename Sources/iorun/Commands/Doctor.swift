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
      As root it tries what keeps work apart: a canary in each driver of sandboxes, encrypted scratch, a \
      way to the internet; a node that runs meanwhile is not disturbed. Exits with 1 where something \
      failed. --fix installs missing Debian packages, loads a missing module of the kernel and sets what \
      forbids user namespaces (as root), takes rights off files that are nobody else's, and looks again.
      """)

  @OptionGroup var client: ClientOptions

  @Flag(help: "Do what can be done by itself.")
  var fix = false

  func run() async throws {
    var checks = try await examine()
    var done: [HostCheck.Fix] = []
    // What one mends may show what else is missing: a program, then the module that it needs.
    for _ in 0..<3 where fix {
      let fixes = checks.compactMap(\.fix).filter { !done.contains($0) }
      if fixes.isEmpty { break }
      done += fixes
      try await Blocking.run { for each in fixes { attempt(each) } }
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

  /// One that cannot be done keeps no other from it, and the next look says what is still missing.
  private func attempt(_ fix: HostCheck.Fix) {
    do {
      try apply(fix)
    } catch {
      Output.writeError("not mended: \(error)\n")
    }
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
    case .loadModule(let name):
      Output.writeError("loading the module \(name)\n")
      try SystemProgram.run("modprobe", [name])
    case .setKernel(let key, let value):
      Output.writeError("setting \(key) to \(value)\n")
      let path = "/proc/sys/" + key.replacingOccurrences(of: ".", with: "/")
      try Data(value.utf8).write(to: URL(fileURLWithPath: path))
      let file = "/etc/sysctl.d/90-iorun-\(key.replacingOccurrences(of: ".", with: "-")).conf"
      try Data("\(key) = \(value)\n".utf8).write(to: URL(fileURLWithPath: file))
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
