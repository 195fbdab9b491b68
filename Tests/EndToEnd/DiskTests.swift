import Foundation
import Testing

extension RealProcesses {
  /// A disk without room.
  @Suite(.serialized)
  struct `A full disk` {
    @Test(
      .enabled(if: Privileges.isRoot, "mounting a small disk needs root: SKIPPED"),
      .timeLimit(.minutes(3)))
    func `of the head refuses the upload, and the head serves on`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let head = network.state + "/head"
        try FileManager.default.createDirectory(
          atPath: head, withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o700])
        let mount = try await network.run(
          "mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", head)
        try #require(mount.status == 0, "\(mount)")
        let result: Result<Void, any Error>
        do {
          try await Self.fill(network)
          result = .success(())
        } catch {
          result = .failure(error)
        }
        _ = try? await network.iorun("down")
        // Lazily: also where a process of a failed test still has files open there.
        _ = try? await network.run("umount", "-l", head)
        try result.get()
      }
    }

    private static func fill(_ network: TestNetwork) async throws {
      let up = try await network.iorun("up", "--nodes", "1")
      try #require(up.status == 0, "\(up)")
      var generator = SystemRandomNumberGenerator()
      let words = (0..<1_310_720).map { _ in UInt64.random(in: 0 ... .max, using: &generator) }
      try network.write(words.withUnsafeBytes { Data($0) }, to: "work/large.bin")
      let submit = try await network.iorun(
        "submit", "--working-dir", network.root + "/work", "--", "true")
      #expect(submit.status == 1, "\(submit)")
      #expect(submit.errors.contains("IOR-1402"), "\(submit)")
      let status = try await network.iorun("status", "--json")
      #expect(status.status == 0, "\(status)")
      let jobs = try status.json()["jobs"] as? [Any]
      #expect(jobs?.isEmpty == true, "what was refused is no job")
      #expect(try await network.nodeStates() == ["node-1": "alive"])
    }
  }
}
