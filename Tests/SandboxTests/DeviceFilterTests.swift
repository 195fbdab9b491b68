import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct DeviceFilterTests {
  // A process of the host that joins a group with these rules, and opens nodes of the host's.
  private func opened(_ layout: ControlGroupLayout, _ lab: SandboxLab) async throws -> [String] {
    let limits = SandboxLimits(memory: .mebi(64), milliCPUs: 1000)
    let group = try ControlGroup(layout, parent: lab.groupName, name: "devices", limits: limits)
    do {
      // 1:11 is kmsg, which root may otherwise read.
      try group.allowDevices([DeviceNumber(node: "/dev/zero")])
    } catch {
      group.remove()
      throw error
    }
    let capture = try SandboxCapture()
    let script = """
      for node in null zero urandom kmsg; do
        if { : < /dev/$node; } 2>/dev/null; then echo $node; fi
      done
      """
    let launch = SandboxLaunch(
      path: "/bin/sh", arguments: ["sh", "-c", script], streams: capture.streams, group: group,
      outOfMemoryScore: 0)
    _ = await SandboxProcess(pid: try launch.start(), group: group).wait()
    return try capture.text(limit: 4096).split(separator: "\n").map(String.init)
  }

  @Test(
    "processes of a group open the devices that are allowed and no others",
    .enabled(
      if: geteuid() == 0 && access("/dev/kmsg", R_OK) == 0, "root or /dev/kmsg is missing: SKIPPED"),
    arguments: ["version 1", "version 2"])
  func filter(version: String) async throws {
    let lab = try SandboxLab("devices")
    defer { lab.remove() }
    var layout = lab.host.groups
    if version == "version 2" {
      layout.version1 = [:]
    } else {
      layout.unified = nil
    }
    guard layout.unified != nil || layout.version1["devices"] != nil else {
      print("this host has no device controller of \(version): SKIPPED")
      return
    }
    #expect(try await opened(layout, lab) == ["null", "zero", "urandom"])
  }
}
