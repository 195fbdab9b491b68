import Foundation
import Testing

extension RealProcesses {
  /// What people mistype, and what strangers send.
  @Suite(.serialized)
  struct `Bad input` {
    @Test
    func `in a spec is named with its line, and the nearest key`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let unknown = try network.write(
          "name: x\ncommand: echo hi\nretires: 2\n", to: "unknown.yaml")
        let first = try await network.iorun("submit", unknown)
        #expect(first.status == 64, "\(first)")
        for words in ["'retires'", "'retries'", "unknown.yaml:3", "IOR-1301"] {
          #expect(first.errors.contains(words), "\(words): \(first)")
        }
        let wrongType = try network.write(
          "name: x\ncommand: echo hi\ngang:\n  ranks: many\n", to: "type.yaml")
        let second = try await network.iorun("submit", wrongType)
        #expect(second.status == 64, "\(second)")
        for words in ["ranks", "'many'", "type.yaml:4"] {
          #expect(second.errors.contains(words), "\(words): \(second)")
        }
        let broken = try network.write("name: [x\n", to: "broken.yaml")
        let third = try await network.iorun("submit", broken)
        #expect(third.status == 64, "\(third)")
        let missing = try await network.iorun("submit", network.root + "/none.yaml")
        #expect(missing.status == 1, "\(missing)")
        #expect(missing.errors.contains("IOR-1302") && missing.errors.contains("none.yaml"))
        let folder = try await network.iorun(
          "submit", "--working-dir", network.root + "/nowhere", "--", "true")
        #expect(folder.status == 1, "\(folder)")
        #expect(folder.errors.contains("IOR-1302") && folder.errors.contains("nowhere"))
        let jobs = try await network.iorun("status", "--json").json()["jobs"] as? [Any]
        #expect(jobs?.isEmpty == true, "nothing was started")
      }
    }

    @Test
    func `on the command line is status 64`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        for arguments in [
          ["--nonsense"], ["submit", "--nonsense", "--", "true"], ["submit"],
          ["up", "--nodes", "0"],
          ["nonsense"], ["submit", "--ranks", "0", "--", "true"],
          ["submit", "--memory", "lots", "--", "true"], ["submit", "--env", "X", "--", "true"],
        ] {
          let result = try await network.start(arguments).finish()
          #expect(result.status == 64, "\(result)")
          #expect(!result.errors.isEmpty, "\(result)")
        }
        let none = try await network.iorun("status")
        #expect(none.status == 1, "\(none)")
        #expect(none.errors.contains("IOR-1404"), "\(none)")
      }
    }

    @Test
    func `for a job that nobody knows is status 4`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        for command in ["logs", "outputs", "cancel", "status"] {
          let result = try await network.iorun(command, "job-00000000")
          #expect(result.status == 4, "\(result)")
          #expect(result.errors.contains("IOR-1305"), "\(result)")
          #expect(result.errors.contains("iorun status"), "\(result)")
        }
        let view = try await network.iorun("logs", "nobody", "--json")
        #expect(view.status == 4, "\(view)")
        let error = try #require(try view.json()["error"] as? [String: Any])
        #expect(error["code"] as? String == "IOR-1305")
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `on the head's port harms neither the head nor a running job`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let script = "until [ -e \(network.root)/go ]; do sleep 0.05; done; echo well"
        let job = try network.start(["submit", "--ranks", "2", "--", "sh", "-c", script])
        try await job.prints("running, 2 ranks")
        let head = try network.pid(of: "head")
        let address = try Self.headAddress(network)
        var generator = SystemRandomNumberGenerator()
        let noise = Data((0..<200_000).map { _ in UInt8.random(in: 0...255, using: &generator) })
        // ZMTP's own greeting with the CURVE mechanism, and then nonsense in the place of HELLO.
        var greeting = Data([0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 3, 1])
        greeting.append(Data("CURVE".utf8) + Data(repeating: 0, count: 15 + 32))
        greeting.append(Data([4, 200]) + noise.prefix(200))
        // The NULL mechanism, which no iorun peer speaks.
        var open = Data([0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 3, 1])
        open.append(Data("NULL".utf8) + Data(repeating: 0, count: 16 + 32))
        open.append(Data([4, 25, 5]) + Data("READY".utf8) + noise.prefix(19))
        let huge = Data([0xFF]) + Data(repeating: 0xFF, count: 8) + noise
        let web = Data("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        for bytes in [noise, greeting, open, huge, web, Data()] {
          for _ in 0..<5 { try StrangerSocket.send(bytes, to: address) }
        }
        #expect(try network.pid(of: "head") == head && ProcessScan.isRunning(head))
        #expect(try await network.iorun("submit", "--", "echo", "other").output == "other\n")
        try network.write("", to: "go")
        let result = try await job.finish()
        #expect(result.status == 0, "\(result)")
        #expect(result.lines.sorted() == ["[0] well", "[1] well"], "\(result)")
      }
    }

    @Test
    func `as a port that is in use is named, and nothing else runs`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let address = try Self.headAddress(network)
        let other = network.root + "/other"
        let head = try await network.iorun("head", "--listen", address, state: other)
        #expect(head.status == 1, "\(head)")
        #expect(head.errors.contains("IOR-1108"), "\(head)")
        #expect(head.errors.contains(address), "\(head)")
        let port = String(try #require(address.split(separator: ":").last))
        let up = try await network.iorun("up", "--nodes", "1", "--port", port, state: other)
        #expect(up.status == 1, "\(up)")
        #expect(up.errors.contains("IOR-1108") || up.errors.contains("in use"), "\(up)")
        let left = ProcessScan.all(other)
        #expect(left.isEmpty, "an up that failed leaves nothing behind: \(left)")
        #expect(try await network.iorun("submit", "--", "true").status == 0)
      }
    }

    /// Where the network's head listens.
    static func headAddress(_ network: TestNetwork) throws -> String {
      let file = try JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(fileURLWithPath: network.state + "/network.json")))
      return try #require((file as? [String: Any])?["headAddress"] as? String)
    }
  }
}
