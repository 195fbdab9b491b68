import IorunSandbox
import Testing

@testable import IorunWorker

/// Which drivers are tried for what a node's owner asks for.
@Suite struct SandboxChoiceTests {
  @Test func `an OCI runtime comes first, bubblewrap where none passes`() {
    #expect(SandboxChoice.candidates(.auto).map(\.program) == ["crun", "runc", "bwrap"])
    #expect(SandboxChoice.candidates(.oci).map(\.program) == ["crun", "runc"])
    #expect(SandboxChoice.candidates(.bwrap).map(\.program) == ["bwrap"])
  }

  @Test(arguments: [NodeIsolation.process, .open])
  func `none where jobs run as ordinary processes`(isolation: NodeIsolation) {
    #expect(SandboxChoice.candidates(isolation).isEmpty)
  }
}
