import Foundation
import IorunCore
import IorunSandbox
import Testing

@testable import IorunWorker

/// What the doctor makes of what its canaries found.
@Suite struct HostDoctorTests {
  private func checks(
    installed: Set<String> = [], _ change: (inout HostCanaries.Findings) -> Void
  ) throws -> [String: HostCheck] {
    let folder = try TemporaryFolder()
    var found = HostCanaries.Findings()
    change(&found)
    let doctor = HostDoctor(stateFolder: folder.path) { installed.contains($0) }
    return Dictionary(
      doctor.checks(found, nil, nil).map { ($0.name, $0) }, uniquingKeysWith: { $1 })
  }

  private func report(
    _ program: String, faults: [String: String] = [:], missing: Set<SandboxLimit> = []
  ) -> SandboxReport {
    SandboxReport(
      kind: program == "bwrap" ? .bwrap : .oci, program: "/usr/bin/" + program, faults: faults,
      passed: SandboxSelfTest.checks.subtracting(faults.keys), missingLimits: missing)
  }

  @Test func `a driver that is installed and fails its canary is no sandbox`() throws {
    let checks = try checks(installed: ["crun"]) {
      $0.drivers = [report("crun", faults: ["launch": "no such hierarchy"])]
    }
    #expect(checks["sandbox"]?.outcome == .failed)
    #expect(checks["sandbox"]?.fix == nil, "what is installed is not mended by installing it")
    #expect(checks["driver crun"]?.found == "launch: no such hierarchy")
    #expect(checks["control groups"]?.outcome != .passed)
  }

  @Test func `what passed is named, and what another one lacks is said beside it`() throws {
    let checks = try checks {
      $0.drivers = [
        report("crun", faults: ["network": "reached the host"]), report("bwrap", missing: [.cpu]),
      ]
      $0.scratch = .gocryptfs
      $0.scratchRefusals = [.dmCrypt: "no cryptsetup"]
    }
    #expect(checks["sandbox"]?.outcome == .passed)
    #expect(checks["sandbox"]?.found == "bwrap (/usr/bin/bwrap)")
    #expect(checks["driver crun"]?.outcome == .limited)
    #expect(checks["driver bwrap"] == nil)
    #expect(checks["control groups"]?.found.contains("no limit of cpu") == true)
    #expect(checks["encrypted scratch"]?.outcome == .passed)
    #expect(checks["dm-crypt"]?.fix == .install(["cryptsetup-bin"]))
  }

  @Test func `the cipher's module is loaded once its program is there`() throws {
    let isLoaded = access("/sys/module/dm_crypt", F_OK) == 0
    let checks = try checks(installed: ["cryptsetup", "modprobe"]) {
      $0.scratchRefusals = [.dmCrypt: "no device"]
    }
    #expect(checks["dm-crypt"]?.fix == (isLoaded ? nil : .loadModule("dm-crypt")))
  }

  @Test func `the way out and the kernel's word are said with what to do`() throws {
    let checks = try checks(installed: ["ip", "tc"]) {
      $0.egressFault = IorunError(.sandboxUnavailable, "the program nft is missing")
      $0.eventsFault = "Operation not permitted"
    }
    #expect(checks["internet"]?.outcome == .limited)
    #expect(checks["internet"]?.fix == .install(["nftables"]))
    #expect(checks["guard"]?.found.contains("Operation not permitted") == true)
    let good = try self.checks { _ in }
    #expect(good["internet"]?.outcome == .passed && good["guard"]?.outcome == .passed)
  }

  @Test func `without root nothing was tried, which is no pass`() throws {
    let checks = try checks(installed: ["bwrap", "crun", "gocryptfs"]) { $0.isRoot = false }
    for name in ["sandbox", "encrypted scratch"] {
      #expect(checks[name]?.outcome == .failed)
      #expect(checks[name]?.found.contains("not tried") == true)
    }
  }

  @Test func `the network is told of all that passed, and of what is not limited`() throws {
    let findings = IsolationFindings(
      reports: [
        report("crun", faults: ["launch": "x"]), report("runc", missing: [.cpu]), report("bwrap"),
      ], scratch: .tmpfs)
    let told = try #require(findings.capability(hasTunnels: true, leadsOut: false))
    #expect(told.drivers == ["oci (/usr/bin/runc)", "bwrap (/usr/bin/bwrap)"])
    #expect(told.missingLimits == ["cpu"] && !told.isUnbounded)
    #expect(told.keepsScratchInMemory && told.egress == ["none", "gang"])
    #expect(
      IsolationFindings(reports: [report("crun", faults: ["a": "b"])], scratch: nil)
        .capability(hasTunnels: true, leadsOut: true) == nil)
  }
}
