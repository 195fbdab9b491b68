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

  /// What is tried for an isolation, in this order. bubblewrap comes first because it starts a rank in
  /// a quarter of an OCI runtime's time.
  static func candidates(_ isolation: NodeIsolation) -> [Candidate] {
    let bubblewrap = [Candidate(kind: .bwrap, program: "bwrap")]
    let runtimes = ["crun", "runc"].map { Candidate(kind: .oci, program: $0) }
    return switch isolation {
    case .process: []
    case .bwrap: bubblewrap
    case .oci: runtimes
    case .auto: bubblewrap + runtimes
    }
  }

  /// Tries one after the other.
  ///
  /// - Returns: the driver, or, for each program, why it is not.
  static func find(
    _ isolation: NodeIsolation, host: SandboxHost, test: SandboxSelfTest
  ) async -> (driver: (any SandboxDriver)?, refusals: [String]) {
    var refusals: [String] = []
    for candidate in candidates(isolation) {
      guard let file = InstalledProgram.find(candidate.program) else {
        refusals.append("\(candidate.program) is not installed")
        continue
      }
      let driver: any SandboxDriver
      if candidate.kind == .bwrap {
        driver = BubblewrapDriver(program: file, host: host)
      } else {
        // It asks the runtime what it can.
        guard
          let made = try? await Blocking.run({
            let made = OCIDriver(program: file, host: host)
            made.removeLeftovers()
            return made
          })
        else { continue }
        driver = made
      }
      let report = await test.run(driver)
      if report.isFitForStrangers { return (driver, refusals) }
      let faults = report.faults.sorted { $0.key < $1.key }.map { "\($0.key) (\($0.value))" }
      let limits = report.missingLimits.map(\.rawValue).sorted().map { "no limit of \($0)" }
      refusals.append("\(file): \((faults + limits).joined(separator: ", "))")
    }
    return (nil, refusals)
  }
}
