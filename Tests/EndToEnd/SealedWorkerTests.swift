import Foundation
import Testing

extension RealProcesses {
  /// Workers of runtime jobs on a node that was joined as usual, with their driver on another one.
  @Suite(
    .serialized,
    .enabled(
      if: Privileges.canMakeNamespaces
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/bwrap"),
      "needs root, iproute2, nftables and bubblewrap"))
  struct `Workers in a sandbox` {
    @Test(.timeLimit(.minutes(4)), arguments: ["bwrap", "oci"])
    func `of Python see nothing of the machine, share objects, and say how they ended`(
      isolation: String
    ) async throws {
      try await Self.with(isolation: isolation) { network in
        let secret = try network.write("a secret of the host", to: "secret")
        let program = try network.write(Self.program, to: "driver.py")
        let end = try await RunningCommand(
          "/usr/bin/env", ["python3", program, secret], scratch: network.root + "/commands",
          environment: ["IORUN_STATE_DIR": network.state, "PYTHONPATH": Self.packages],
          directory: network.root
        ).finish(within: .seconds(120))
        #expect(end.status == 0, "\(end)")
        for line in [
          "user 1000 in /job", "no secret", "filter 2", "capabilities 0000000000000000",
          "interfaces lo", "arena 8388608", "counted 3", "ended by SIGKILL", "ended with 7",
          "grandchild 42",
        ] { #expect(end.lines.contains(line), "\(line): \(end)") }
        try await eventually("nothing of the job is left on the node") {
          SandboxTraces.leaseMounts(below: network.root + "/far").isEmpty
        } detail: {
          "\(SandboxTraces.leaseMounts(below: network.root + "/far"))"
        }
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `of a Swift program use tasks, actors and objects`() async throws {
      try await Self.with { network in
        let end = try await RunningCommand(
          Binaries.clusterProgram, ["nodes"], scratch: network.root + "/commands",
          environment: [
            "IORUN_STATE_DIR": network.state, "SEEN": network.root + "/seen",
            "IORUN_RUNTIME_THREADS": "2",
          ], directory: network.root
        ).finish(within: .seconds(120))
        #expect(end.status == 0 && end.output.contains("ok nodes"), "\(end)")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `are refused by a node that has none and is not the driver's owner's`() async throws {
      try await Self.with(isolation: "process") { network in
        let program = try network.write(Self.program, to: "driver.py")
        let end = try await RunningCommand(
          "/usr/bin/env", ["python3", program, "nothing"], scratch: network.root + "/commands",
          environment: ["IORUN_STATE_DIR": network.state, "PYTHONPATH": Self.packages],
          directory: network.root
        ).finish(within: .seconds(120))
        #expect(end.status != 0 && "\(end)".contains("not isolated"), "\(end)")
        // A buyer's rank neither, though an operator's may.
        let drained = try await network.iorun("drain", "node-1")
        try #require(drained.status == 0, "\(drained)")
        let buyer = try await `A ticket`.ticket(.buyer, network)
        let refused = try await network.iorun(
          "submit", "--head", buyer, "--", "true", state: network.root + "/buyer")
        #expect(refused.status != 0 && refused.errors.contains("not isolated"), "\(refused)")
        let own = try await network.detach("--", "true")
        _ = try await network.job(own, reaches: "succeeded")
        let sealed = try await network.iorun("submit", "--isolation", "required", "--", "true")
        #expect(sealed.status != 0 && sealed.errors.contains("not isolated"), "\(sealed)")
      }
    }

    @Test(.timeLimit(.minutes(4)), arguments: ["bwrap", "oci"])
    func `of a rank in a sandbox run beside it and elsewhere, one runtime job after another`(
      isolation: String
    ) async throws {
      try await Self.with(isolation: isolation) { network in
        let secret = try network.write("a secret of the host", to: "secret")
        try network.write(Self.driver, to: "work/driver.py")
        try network.write("def square(value): return value * value\n", to: "work/helper.py")
        // Too large to travel in the environment's text.
        let data = (0..<40_000).map { String($0 &* 2_654_435_761, radix: 36) }.joined()
        let size = data.utf8.count
        try network.write(
          data, to: "work/data.txt")
        // Only the joined node has a sandbox.
        let job = try await network.iorun(
          "submit", "--isolation", "required", "--working-dir", network.root + "/work", "--",
          "python3", "driver.py", secret)
        #expect(job.status == 0, "\(job)")
        for line in [
          "round 1: driver no secret", "round 1: far 1000 \(size) [0, 1, 4, 9]",
          "round 1: node-1 0 \(size) [0, 1, 4, 9]", "round 1: shared 8388608", "round 1: counted 3",
          "round 2: far 1000 \(size) [0, 1, 4, 9]",
        ] { #expect(job.lines.contains(line), "\(line): \(job)") }
        try await eventually("nothing of the job is left on the node") {
          SandboxTraces.leaseMounts(below: network.root + "/far").isEmpty
        } detail: {
          "\(SandboxTraces.leaseMounts(below: network.root + "/far"))"
        }
      }
    }

    private static let driver = """
      import helper, os, sys, iorun
      from iorun.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

      def read(path):
          try:
              return open(path).read()
          except OSError:
              return "no secret"

      for round in (1, 2):
          iorun.init(address="auto")
          print(f"round {round}: driver", read(sys.argv[1]))
          for node in sorted(iorun.nodes(), key=lambda node: node["NodeName"]):
              there = On(node["NodeID"], soft=False)

              @iorun.remote(num_cpus=0.5, scheduling_strategy=there, max_retries=0)
              def square(value):
                  return helper.square(value)

              @iorun.remote(num_cpus=0.5, scheduling_strategy=there, max_retries=0)
              def who():
                  return os.getuid(), os.path.getsize("data.txt")

              squares = iorun.get([square.remote(value) for value in range(4)], timeout=60)
              print(f"round {round}:", node["NodeName"], *iorun.get(who.remote()), squares)

          @iorun.remote(num_cpus=0.5, max_retries=0)
          def size(data):
              return len(data)

          @iorun.remote(num_cpus=0.5)
          class Counter:
              def __init__(self):
                  self.count = 0

              def add(self):
                  self.count += 1
                  return self.count

          print(f"round {round}: shared", iorun.get(size.remote(iorun.put(bytes(8 << 20)))))
          counter = Counter.remote()
          counts = iorun.get([counter.add.remote() for _ in range(3)], timeout=60)
          print(f"round {round}: counted", counts[-1])
          sys.stdout.flush()
          iorun.shutdown()
      """

    private static var packages: String { Binaries.package + "/python" }

    private static let program = """
      import os, sys, iorun
      from iorun.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

      iorun.init(address="auto")
      far = next(node["NodeID"] for node in iorun.nodes() if node["NodeName"] == "far")
      there = On(far, soft=False)

      @iorun.remote(num_cpus=1, scheduling_strategy=there, max_retries=0)
      def look(secret):
          status = dict(line.split(":", 1) for line in open("/proc/self/status"))
          try:
              seen = open(secret).read()
          except OSError:
              seen = "no secret"
          return [
              f"user {os.getuid()} in {os.getcwd()}", seen, "filter " + status["Seccomp"].strip(),
              "capabilities " + status["CapEff"].strip(),
              "interfaces " + " ".join(sorted(
                  line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:])),
          ]

      @iorun.remote(num_cpus=1, scheduling_strategy=there, max_retries=0)
      def make(size):
          return bytes(size)

      @iorun.remote(num_cpus=1, scheduling_strategy=there, max_retries=0)
      def measure(data):
          return len(data)

      @iorun.remote(num_cpus=0.5, scheduling_strategy=there)
      class Counter:
          def __init__(self):
              self.count = 0

          def add(self):
              self.count += 1
              return self.count

          def grandchild(self):
              import subprocess
              return subprocess.run(["sh", "-c", "exit 42"]).returncode

          def end(self, status):
              if status:
                  os._exit(status)
              os.kill(os.getpid(), 9)

      for line in iorun.get(look.remote(sys.argv[1]), timeout=90):
          print(line)
      print("arena", iorun.get(measure.remote(make.remote(8 << 20)), timeout=60))
      counter = Counter.remote()
      iorun.get([counter.add.remote() for _ in range(2)], timeout=60)
      print("counted", iorun.get(counter.add.remote(), timeout=60))
      print("grandchild", iorun.get(counter.grandchild.remote(), timeout=60))
      for status, words in ((0, "SIGKILL"), (7, "status 7")):
          other = Counter.remote()
          iorun.get(other.add.remote(), timeout=60)
          try:
              iorun.get(other.end.remote(status), timeout=60)
              print("it did not end")
          except iorun.exceptions.RayActorError as error:
              ending = f"ended with {status}" if status else "ended by SIGKILL"
              print(ending if words in str(error) else f"otherwise: {error}")
      sys.stdout.flush()
      iorun.shutdown()
      """

    /// A network with a node of its own and `far`, which was joined.
    private static func with(
      isolation: String? = nil, _ body: (TestNetwork) async throws -> Void
    ) async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        let ticket = try await `A ticket`.ticket(.supplier, network)
        let options = isolation.map { ["--isolation", $0] } ?? []
        let join = try network.start(
          ["join", ticket, "--name", "far", "--cpus", "4"] + options, state: network.root + "/far",
          environment: ["PYTHONPATH": packages])
        try await eventually("far is there", within: .seconds(60)) {
          try await network.nodeStates()["far"] == "alive"
        } detail: {
          join.errors
        }
        do {
          try await body(network)
          join.signal(SIGINT)
          _ = try await join.finish()
        } catch {
          print("== far\n\(join.errors.suffix(3000))")
          throw error
        }
        #expect(SandboxTraces.mounts(below: network.root).isEmpty)
      }
    }

  }
}
