import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

/// Group 21 of the escape tests: the agent is killed while a sandbox runs.
@Suite(.serialized) struct DeadAgentTests {
  @Test(
    "an agent that was killed leaves nothing that the next one does not remove",
    .enabled(if: geteuid() == 0 && !EscapeTests.drivers.isEmpty, "\(EscapeTests.reason)"),
    arguments: EscapeTests.drivers)
  func killed(driver name: String) async throws {
    let lab = try SandboxLab("dead-" + name)
    defer { lab.remove() }
    let agent = Process()
    agent.executableURL = URL(fileURLWithPath: SandboxLab.program("iorun-sandbox-agent"))
    agent.arguments = [
      name, try #require(SandboxLab.find(name)), lab.folder, lab.groupName,
    ]
    let output = Pipe()
    agent.standardOutput = output
    agent.standardError = output
    try agent.run()
    var text = ""
    while !text.contains("ready\n") {
      let piece = output.fileHandleForReading.availableData
      if piece.isEmpty { break }
      text += String(decoding: piece, as: UTF8.self)
    }
    // A driver that does not work here (crun on mixed control groups) is SandboxDriverTests' to name.
    guard text.contains("ready\n") else {
      agent.waitUntilExit()
      print("\(name) runs no sandbox here: \(text.prefix(300)): SKIPPED")
      return
    }
    let user = SandboxSpec.defaultFirstUser + SandboxSpec.userInside
    #expect(EscapeTests.processes(of: user).count >= 4)
    #expect(!ScratchMounts.below(lab.folder).isEmpty)
    kill(agent.processIdentifier, SIGKILL)
    agent.waitUntilExit()

    // The next agent's first steps.
    let groups = try ControlGroup.reapLeftovers(lab.host.groups, parent: lab.groupName)
    #expect(groups == ["lease"])
    if name != "bwrap" {
      OCIDriver(program: try #require(SandboxLab.find(name)), host: lab.host).removeLeftovers()
    }
    _ = try ScratchPool(folder: lab.folder + "/scratch")
    #expect(EscapeTests.processes(of: user) == [])
    #expect(ScratchMounts.below(lab.folder) == [])
    #expect(ScratchMounts.loops(on: lab.folder + "/scratch/lease/plain/image") == [])
    #expect(access(lab.folder + "/scratch/lease", F_OK) != 0)
    let state = try FileManager.default.contentsOfDirectory(atPath: lab.folder + "/state")
    #expect(state == [])
    for own in Set(lab.host.groups.version1.values).union(
      lab.host.groups.unified.map { [$0] } ?? [])
    {
      #expect(ControlGroup.subfolders(own + "/" + lab.groupName) == [], "\(own)")
    }
  }
}
