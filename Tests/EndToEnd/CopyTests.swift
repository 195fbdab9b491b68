import Foundation
import Testing

extension RealProcesses {
  /// `iorun cp`.
  @Suite(.serialized)
  struct `A copy into a rank and out of it` {
    @Test(.timeLimit(.minutes(3)))
    func `is whole both ways, and goes on after a cut`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let job = try await network.sleeper()
        let made = try await network.run(
          "sh", "-c",
          """
          mkdir -p \(network.root)/data/many && cd \(network.root)/data && \
          for i in $(seq 1000); do echo "file $i" > many/$i; done && chmod 750 many/7 && \
          head -c 200000000 /dev/urandom > big.bin && find . -type f | sort | xargs sha256sum \
          > ../sums
          """)
        try #require(made.status == 0, "\(made)")

        // Cut off in the middle: what is there by then is used again.
        let first = try network.start(["cp", "data", "\(job):in/data"])
        let partial = "\(network.state)/node-1/leases/\(job)-1-0/work/in/data"
        try await eventually("a part of the large file is there", within: .seconds(60)) {
          let names = (try? FileManager.default.contentsOfDirectory(atPath: partial)) ?? []
          return names.contains {
            let size =
              try? FileManager.default.attributesOfItem(atPath: partial + "/" + $0)[.size]
              as? NSNumber
            return $0.hasPrefix(".iorun-partial-") && (size?.intValue ?? 0) > 8_000_000
          }
        }
        first.signal(SIGKILL)
        _ = try await first.finish()
        let second = try await network.iorun(
          "cp", "data", "\(job):in/data", "--json", within: .seconds(90))
        #expect(second.status == 0, "\(second)")
        let report = try second.json()
        #expect(report["files"] as? Int == 1001, "\(second)")
        #expect((report["resumed_bytes"] as? Int ?? 0) > 8_000_000, "\(second)")
        let inside = try await network.iorun(
          "exec", job, "-i", "--", "sh", "-c",
          "cd in/data && sha256sum -c --quiet - && stat -c %a many/7",
          input: network.read("sums"), within: .seconds(60))
        #expect(inside.status == 0, "\(inside)")
        #expect(inside.output == "750\n", "\(inside)")

        let back = try await network.iorun(
          "cp", "\(job):0:in/data", "back", "--json", within: .seconds(90))
        #expect(back.status == 0, "\(back)")
        #expect(try back.json()["files"] as? Int == 1001)
        let same = try await network.run(
          "diff", "-r", network.root + "/data", network.root + "/back")
        #expect(same.status == 0, "\(same)")
        let again = try await network.iorun(
          "cp", "\(job):0:in/data", "back", "--json", within: .seconds(90))
        #expect(try again.json()["resumed_bytes"] as? Int == report["bytes"] as? Int, "\(again)")
      }
    }

    @Test(.timeLimit(.minutes(2)))
    func `stays within the working folder, and says what it does not copy`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let job = try await network.sleeper()
        try network.write("mine", to: "victim")
        let trap = try await network.iorun(
          "exec", job, "--", "sh", "-c",
          "mkdir d; echo ok > d/good; ln -s \(network.root)/victim d/link; mkfifo d/pipe; "
            + "ln -s \(network.root) out; ln -s /etc/hostname name")
        try #require(trap.status == 0, "\(trap)")
        try network.write("yours", to: "new")
        for target in ["../../../../x", "out/victim", "out/fresh"] {
          let refused = try await network.iorun("cp", "new", "\(job):\(target)")
          #expect(refused.status != 0, "\(target): \(refused)")
        }
        let absolute = try await network.iorun("cp", "new", "\(job):/tmp/x")
        #expect(absolute.status == 64, "\(absolute)")
        #expect(network.read("victim") == "mine")
        #expect(network.read("fresh").isEmpty)
        for source in ["../../../node.key", "out/victim", "name"] {
          let refused = try await network.iorun("cp", "\(job):\(source)", "stolen")
          #expect(refused.status != 0, "\(source): \(refused)")
        }
        #expect(network.read("stolen").isEmpty)
        let partly = try await network.iorun("cp", "\(job):d", "got")
        #expect(partly.status == 1, "\(partly)")
        #expect(partly.errors.contains("not copied: link: it is a symbolic link"), "\(partly)")
        #expect(partly.errors.contains("not copied: pipe: it is a named pipe"), "\(partly)")
        #expect(network.read("got/good") == "ok\n")
        let both = try await network.iorun("cp", "new", "other")
        #expect(both.status == 64, "\(both)")
      }
    }
  }
}
