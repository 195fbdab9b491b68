import Foundation
import Testing

extension RealProcesses {
  /// Who may come in and what they may do.
  @Suite(.serialized)
  struct `A ticket` {
    @Test
    func `that is damaged or of no known network is refused`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let stranger = network.root + "/stranger"
        let ticket = try await Self.ticket(.buyer, network)
        let garbage = try await network.iorun("status", "--head", "hello", state: stranger)
        #expect(garbage.status == 5, "\(garbage)")
        #expect(garbage.errors.contains("IOR-1001"), "\(garbage)")

        let last = try #require(ticket.last)
        let damaged = String(ticket.dropLast()) + (last == "0" ? "1" : "0")
        let changed = try await network.iorun("status", "--head", damaged, state: stranger)
        #expect(changed.status == 5, "\(changed)")
        #expect(changed.errors.contains("IOR-1001"), "\(changed)")
        #expect(changed.errors.contains("iorun ticket create"), "\(changed)")
        let cut = try await network.iorun(
          "join", "-", state: stranger, input: String(ticket.prefix(40)))
        #expect(cut.status == 5, "\(cut)")

        // A ticket that was good at a head that has lost its state: the key is unknown there.
        try #require(try await network.iorun("down").status == 0)
        for file in try FileManager.default.contentsOfDirectory(atPath: network.state + "/head")
        where file.contains("sqlite") {
          try FileManager.default.removeItem(atPath: network.state + "/head/" + file)
        }
        try #require(try await network.iorun("up").status == 0)
        let unknown = try await network.iorun("status", "--head", ticket, state: stranger)
        #expect(unknown.status == 5, "\(unknown)")
        #expect(unknown.errors.contains("IOR-1001"), "\(unknown)")
        #expect(unknown.errors.contains("does not know this ticket"), "\(unknown)")
      }
    }

    @Test
    func `that has expired is refused`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await Self.ticket(.buyer, network, "--lifetime", "1s")
        try await eventually("its second is over") {
          let list = try await network.iorun("ticket", "list", "--json").json()["tickets"]
          let ends = (list as? [[String: Any]])?.first?["expires_at_unix_seconds"] as? Double
          return Date().timeIntervalSince1970 > (ends ?? .infinity)
        }
        let late = try await network.iorun(
          "status", "--head", ticket, state: network.root + "/late")
        #expect(late.status == 5, "\(late)")
        #expect(late.errors.contains("IOR-1002"), "\(late)")
      }
    }

    @Test
    func `lets in as many peers as it says, and the same one again`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await Self.ticket(.buyer, network)
        let (one, two) = (network.root + "/one", network.root + "/two")
        let first = try await network.iorun("submit", "--head", ticket, "--", "true", state: one)
        #expect(first.status == 0, "\(first)")
        let second = try await network.iorun("submit", "--head", ticket, "--", "true", state: two)
        #expect(second.status == 5, "\(second)")
        #expect(second.errors.contains("IOR-1003"), "\(second)")
        let again = try await network.iorun(
          "submit", "--head", "-", "--", "true", state: one, input: ticket)
        #expect(again.status == 0, "\(again)")
      }
    }

    @Test
    func `that was revoked is refused`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await Self.ticket(.buyer, network, "--uses", "5")
        let list = try await network.iorun("ticket", "list", "--json").json()["tickets"]
        let id = try #require((list as? [[String: Any]])?.first?["id"] as? String)
        #expect(try await network.iorun("ticket", "revoke", id).status == 0)
        let refused = try await network.iorun(
          "status", "--head", ticket, state: network.root + "/one")
        #expect(refused.status == 5, "\(refused)")
        #expect(refused.errors.contains("IOR-1003"), "\(refused)")
      }
    }

    @Test
    func `of a buyer shows it its own jobs and nothing else`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let theirs = try await network.detach("--name", "theirs", "--", "echo", "secret")
        _ = try await network.job(theirs, reaches: "succeeded")
        let ticket = try await Self.ticket(.buyer, network)
        let buyer = network.root + "/buyer"
        func ask(_ arguments: String...) async throws -> CommandResult {
          try await network.start(
            arguments, state: buyer, environment: ["IORUN_HEAD_TICKET": ticket]
          ).finish()
        }
        let mine = try await ask("submit", "--name", "mine", "--", "echo", "mine")
        #expect(mine.status == 0, "\(mine)")
        #expect(mine.output == "mine\n", "\(mine)")
        let jobs = try await ask("status", "--json").json()["jobs"] as? [[String: Any]]
        #expect(jobs?.compactMap { $0["name"] as? String } == ["mine"])
        for command in ["logs", "cancel", "outputs", "status"] {
          let result = try await ask(command, theirs)
          #expect(result.status == 4, "\(result)")
          #expect(!result.output.contains("secret"))
        }
        let list = try await ask("ticket", "list")
        #expect(list.status == 5, "\(list)")
        #expect(list.errors.contains("IOR-1005"), "\(list)")
        #expect(try await ask("ticket", "create", "--role", "operator").status == 5)
        #expect(try await network.job(theirs)["state"] as? String == "succeeded")
        // The operator sees both.
        let all = try await network.iorun("status", "--json").json()["jobs"] as? [Any]
        #expect(all?.count == 2)
      }
    }

    @Test
    func `of a supplier submits no jobs`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await Self.ticket(.supplier, network)
        let refused = try await network.iorun(
          "submit", "--head", ticket, "--", "true", state: network.root + "/supplier")
        #expect(refused.status == 5, "\(refused)")
        #expect(refused.errors.contains("IOR-1005"), "\(refused)")
      }
    }

    enum Role: String { case supplier, buyer, `operator` }

    /// Makes a ticket at a network's head.
    static func ticket(
      _ role: Role, _ network: TestNetwork, _ arguments: String...
    ) async throws -> String {
      let result = try await network.start(
        ["ticket", "create", "--role", role.rawValue] + arguments
      ).finish()
      try #require(result.status == 0, "\(result)")
      return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }
}
