import IorunCore
import Testing

@testable import IorunSandbox

@Suite struct ProfileTests {
  private let driver = NodeMeasurements.Driver(
    SandboxReport(
      kind: .bwrap, program: "/usr/bin/bwrap", faults: [:], passed: SandboxSelfTest.checks))
  private var good: NodeMeasurements {
    NodeMeasurements(
      memory: .gibi(16), disk: Bytes(500_000_000_000), downloadBitsPerSecond: 500_000_000,
      uploadBitsPerSecond: 250_000_000, roundTrip: .microseconds(29_900), drivers: [driver],
      scratch: .gocryptfs)
  }

  @Test("a machine that has just enough passes every check")
  func passes() {
    let checks = NodeProfile.standard.check(good)
    #expect(checks.count == 7)
    #expect(checks.allSatisfy { $0.outcome == .passed && $0.remedy == nil })
  }

  @Test("whatever is too little fails alone, and says what to do")
  func fails() {
    let changes: [(String, (inout NodeMeasurements) -> Void)] = [
      ("memory", { $0.memory = Bytes(11_999_999_999) }),
      ("disk", { $0.disk = .gibi(400) }),
      ("download", { $0.downloadBitsPerSecond = 499_999_999 }),
      ("upload", { $0.uploadBitsPerSecond = 1 }),
      ("ping", { $0.roundTrip = .milliseconds(30) }),
      ("sandbox", { $0.drivers = [] }),
      ("encrypted scratch", { $0.scratch = .tmpfs }),
    ]
    for (name, change) in changes {
      var machine = good
      change(&machine)
      let failed = NodeProfile.standard.check(machine).filter { $0.outcome != .passed }
      #expect(failed.map(\.name) == [name])
      #expect(failed.allSatisfy { $0.outcome == .failed && $0.remedy != nil })
    }
  }

  @Test("what could not be measured is neither passed nor failed")
  func unknown() {
    let checks = NodeProfile.standard.check(NodeMeasurements())
    #expect(
      checks.filter { $0.outcome == .unknown }.map(\.name)
        == ["memory", "disk", "download", "upload", "ping"])
    #expect(checks.allSatisfy { $0.remedy != nil })
  }

  @Test("a driver with one fault, or without a limit of memory, is not fit for strangers")
  func reports() {
    var report = SandboxReport(
      kind: .oci, program: "runc", faults: [:], passed: SandboxSelfTest.checks)
    #expect(report.isFitForStrangers)
    report.missingLimits = [.memory]
    #expect(!report.isFitForStrangers)
    report.missingLimits = [.cpu]
    #expect(report.isFitForStrangers)
    report.faults = ["network": "other interfaces"]
    #expect(!report.isFitForStrangers)
    report.faults = [:]
    report.passed.remove("user")
    #expect(!report.isFitForStrangers)
    report.passed = SandboxSelfTest.checks
    report.kind = .process
    #expect(!report.isFitForStrangers)
  }
}
