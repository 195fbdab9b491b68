import Foundation
import Testing

extension RealProcesses {
  /// `iorun submit -- COMMAND`.
  @Suite(.serialized)
  struct `A command` {
    @Test
    func `has its output shown and its status returned`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let good = try await network.iorun("submit", "--", "sh", "-c", "echo out; echo err >&2")
        #expect(good.status == 0, "\(good)")
        #expect(good.lines.sorted() == ["err", "out"], "standard output is the job's output only")
        let bad = try await network.iorun("submit", "--", "sh", "-c", "exit 7")
        #expect(bad.status == 7, "\(bad)")
        #expect(bad.output == "")
        let killed = try await network.iorun("submit", "--", "sh", "-c", "kill -TERM $$")
        #expect(killed.status == 128 + 15, "\(killed)")
        #expect(killed.errors.contains("SIGTERM"), "\(killed)")
      }
    }

    @Test
    func `has its last line shown, also one that was never ended`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let result = try await network.iorun("submit", "--", "printf", "one\\ntwo")
        #expect(result.status == 0, "\(result)")
        #expect(result.lines == ["one", "two"], "\(result)")
        let logs = try await network.iorun("logs", "printf")
        #expect(logs.lines == ["one", "two"], "\(logs)")
      }
    }

    @Test
    func `is left alone by detach, which prints its id`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let script = "until [ -e \(network.root)/go ]; do sleep 0.05; done; echo went"
        let detached = try await network.iorun("submit", "--detach", "--", "sh", "-c", script)
        #expect(detached.status == 0, "\(detached)")
        let id = detached.output.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(id.hasPrefix("job-"), "standard output has the id, for scripts: \(detached)")
        let accepted = try `The training example`.acceptedJob(detached)
        _ = try await network.job(accepted, reaches: "running")
        try network.write("", to: "go")
        _ = try await network.job(accepted, reaches: "succeeded")
        #expect(try await network.iorun("logs", accepted).output == "went\n")
      }
    }

    @Test
    func `goes on after Ctrl-C, which says how to return`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let script = "echo here; until [ -e \(network.root)/go ]; do sleep 0.05; done; echo went"
        let submit = try network.start(["submit", "--", "sh", "-c", script])
        try await submit.prints("here")
        submit.signal(SIGINT)
        let result = try await submit.finish(within: .seconds(10))
        #expect(result.status == 0, "\(result)")
        let id = try `The training example`.acceptedJob(result)
        #expect(result.errors.contains("iorun logs \(id)"), "\(result)")
        #expect(result.errors.contains("iorun cancel \(id)"), "\(result)")
        #expect(try await network.job(id)["state"] as? String == "running")
        try network.write("", to: "go")
        _ = try await network.job(id, reaches: "succeeded")
      }
    }

    @Test
    func `gets its variables and its folder, and leaves its outputs`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        try network.write("first\n", to: "work/a.txt")
        try network.write("deep\n", to: "work/some/folder/b.txt")
        let tool = try network.write("#!/bin/sh\necho tool $1\n", to: "work/bin/tool")
        chmod(tool, 0o755)
        let script = """
          cat a.txt some/folder/b.txt; bin/tool "$GREETING"; mkdir -p out/x
          echo result > out/x/r.txt; echo other > out/left.log
          """
        let result = try await network.iorun(
          "submit", "--env", "GREETING=hello you=me", "--output", "out/x/*.txt",
          "--working-dir", network.root + "/work", "--", "sh", "-c", script)
        #expect(result.status == 0, "\(result)")
        #expect(result.lines == ["first", "deep", "tool hello you=me"], "\(result)")
        let fetched = try await network.iorun("outputs", "sh", "--to", network.root + "/got")
        #expect(fetched.status == 0, "\(fetched)")
        #expect(network.read("got/out/x/r.txt") == "result\n")
        #expect(!FileManager.default.fileExists(atPath: network.root + "/got/out/left.log"))
      }
    }

    @Test
    func `uploads only what the head lacks`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        var generator = SystemRandomNumberGenerator()
        let bytes = Data((0..<3_000_000).map { _ in UInt8.random(in: 0...255, using: &generator) })
        try network.write(bytes, to: "work/large.bin")
        let arguments = [
          "submit", "--working-dir", network.root + "/work", "--", "sh", "-c", "wc -c < large.bin",
        ]
        let first = try await network.start(arguments).finish()
        #expect(first.status == 0, "\(first)")
        #expect(first.output.contains("3000000"), "\(first)")
        #expect(first.errors.contains("uploading 2.8 MiB"), "\(first)")
        let size = Self.size(network.state + "/head")

        try network.write("small\n", to: "work/small.txt")
        let second = try await network.start(arguments).finish()
        #expect(second.status == 0, "\(second)")
        #expect(second.errors.contains("uploading 6 B\n"), "\(second)")
        #expect(Self.size(network.state + "/head") - size < 500_000)
      }
    }

    /// The bytes of all files below a folder.
    private static func size(_ folder: String) -> Int {
      let paths = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
      return paths.reduce(0) { sum, path in
        let attributes = try? FileManager.default.attributesOfItem(atPath: folder + "/" + path)
        guard attributes?[.type] as? FileAttributeType == .typeRegular else { return sum }
        return sum + ((attributes?[.size] as? NSNumber)?.intValue ?? 0)
      }
    }
  }
}
