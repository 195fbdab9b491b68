import Foundation
import Testing

extension RealProcesses {
  /// Three machines of the network, in the kernel's own words: a head, a node that nobody can dial,
  /// and a client, each in a network namespace behind one router.
  @Suite(.serialized)
  struct `Network namespaces` {
    @Test(
      .enabled(
        if: Privileges.canMakeNamespaces,
        "network namespaces need root, iproute2 and nftables: SKIPPED"),
      .timeLimit(.minutes(3)))
    func `with a node that can only dial out run a job`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let wires = Namespaces(network)
        let result: Result<Void, any Error>
        do {
          try await wires.make()
          try await Self.work(network, wires)
          result = .success(())
        } catch {
          result = .failure(error)
        }
        await wires.remove()
        try result.get()
      }
    }

    private static func work(_ network: TestNetwork, _ wires: Namespaces) async throws {
      let head = try wires.iorun(
        ["head", "--listen", "0.0.0.0:7070", "--verification", "off"], in: .head, state: "s")
      try await head.prints("tickets name \(Namespaces.Place.head.address):7070")
      func ticket(_ role: String) async throws -> String {
        let result = try await wires.iorun(
          ["ticket", "create", "--role", role], in: .head, state: "s"
        ).finish()
        try #require(result.status == 0, "\(result)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
      }
      // The wall is real: packets to the node vanish, and those from it do not.
      func dial(_ target: Namespaces.Place, _ port: Int, from place: Namespaces.Place) async throws
        -> CommandResult
      {
        try await wires.start(
          "/usr/bin/env",
          [
            "timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/\(target.address)/\(port) && echo open",
          ],
          in: place
        ).finish(within: .seconds(10))
      }
      let out = try await dial(.head, 7070, from: .node)
      #expect(out.output == "open\n", "the node can dial out: \(out)")
      let wall = try await dial(.node, 7070, from: .head)
      // 124 is the limit's status: a closed port without a wall would refuse at once with 1.
      #expect(wall.status == 124, "nobody can dial the node: \(wall)")

      let join = try wires.iorun(
        ["join", "-", "--name", "hidden", "--isolation", "open"], in: .node, state: "n",
        input: try await ticket("supplier"))
      try await eventually("the node is there") {
        let nodes = try await wires.iorun(["nodes", "--json"], in: .head, state: "s").finish()
        return nodes.output.contains("\"name\":\"hidden\"")
          && nodes.output.contains("\"state\":\"alive\"")
      } detail: {
        join.errors
      }
      try network.write("over the wire\n", to: "work/words.txt")
      let submit = try await wires.iorun(
        [
          "submit", "--head", "-", "--working-dir", network.root + "/work", "--output", "made.txt",
          "--", "sh", "-c", "cat words.txt; echo $MASTER_ADDR; echo made > made.txt",
        ], in: .client, state: "c", input: try await ticket("buyer")
      ).finish()
      #expect(submit.status == 0, "\(submit)")
      #expect(
        submit.lines == ["over the wire", Namespaces.Place.node.address],
        "the node found its own address: \(submit)")
      let fetched = try await wires.iorun(
        ["outputs", "sh", "--to", network.root + "/got"], in: .head, state: "s"
      ).finish()
      #expect(fetched.status == 0, "\(fetched)")
      #expect(network.read("got/made.txt") == "made\n")
    }
  }
}
