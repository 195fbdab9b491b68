import Foundation
import Glibc
import IorunCore
import IorunSandbox

/// Finds the driver of this machine in which strangers' work may run: the first that passes its
/// self-test here.
struct SandboxChoice: Sendable {
  /// One program that can be a driver's.
  struct Candidate: Hashable, Sendable {
    var kind: SandboxKind
    var program: String
  }

  /// What trying them found.
  struct Found: Sendable {
    /// The one to use; `nil` where none passed.
    var driver: (any SandboxDriver)?
    /// Of each that was tried, in order.
    var reports: [SandboxReport] = []
    /// Why the others are not used, one a program.
    var refusals: [String] = []

    /// Those that passed, the one in use first.
    var fit: [SandboxReport] { reports.filter(\.isFitForStrangers) }
  }

  /// The Docker daemon's socket, where it has one.
  static let dockerSocket = "/var/run/docker.sock"

  /// What is tried for an isolation, in this order. An OCI runtime comes first: its host keeps it for
  /// just this, and it needs no helper that is root's. bubblewrap starts a rank in a quarter of the time:
  /// whoever wants that asks for it by name.
  static func candidates(_ isolation: NodeIsolation) -> [Candidate] {
    let bubblewrap = [Candidate(kind: .bwrap, program: "bwrap")]
    let runtimes = ["crun", "runc"].map { Candidate(kind: .oci, program: $0) }
    return switch isolation {
    case .process, .open: []
    case .bwrap: bubblewrap
    case .oci: runtimes
    case .auto: runtimes + bubblewrap
    }
  }

  /// Tries one after the other; with `auto` also those that come behind the one that is used, because the
  /// network is told of each.
  static func find(
    _ isolation: NodeIsolation, host: SandboxHost, test: SandboxSelfTest
  ) async -> Found {
    var found = Found()
    for candidate in candidates(isolation) where found.driver == nil || isolation == .auto {
      guard let file = InstalledProgram.find(candidate.program) else {
        found.refusals.append("\(candidate.program) is not installed")
        continue
      }
      guard let driver = await driver(candidate.kind, file, host) else { continue }
      let report = await test.run(driver)
      found.reports.append(report)
      if report.isFitForStrangers {
        found.driver = found.driver ?? driver
      } else {
        let faults = NodeMeasurements.Driver(report).faults.joined(separator: ", ")
        found.refusals.append("\(file): \(faults)")
      }
    }
    return found
  }

  /// Tries everything that is installed, also what no node uses by itself: a Docker daemon.
  static func survey(host: SandboxHost, test: SandboxSelfTest) async -> [SandboxReport] {
    var reports = await find(.auto, host: host, test: test).reports
    if access(dockerSocket, F_OK) == 0 {
      reports.append(await test.run(DockerDriver(socket: dockerSocket, host: host)))
    }
    return reports
  }

  private static func driver(
    _ kind: SandboxKind, _ file: String, _ host: SandboxHost
  ) async -> (any SandboxDriver)? {
    if kind == .bwrap { return BubblewrapDriver(program: file, host: host) }
    // It asks the runtime what it can.
    return try? await Blocking.run {
      let made = OCIDriver(program: file, host: host)
      made.removeLeftovers()
      return made
    }
  }
}
