import Foundation
import Testing

extension RealProcesses {
  /// `iorun exec`.
  @Suite(.serialized)
  struct `A command beside a rank` {
    @Test(.timeLimit(.minutes(2)))
    func `has the rank's folder, environment and input, and hands its status and output back`()
      async throws
    {
      try await TestNetwork.with(nodes: 2) { network in
        let job = try await network.sleeper("--ranks", "2")
        let view = try await network.iorun(
          "exec", "\(job):1", "--", "sh", "-c",
          "echo rank $RANK of $WORLD_SIZE; pwd; echo oops >&2; exit 7")
        #expect(view.status == 7, "\(view)")
        #expect(view.lines.first == "rank 1 of 2", "\(view)")
        #expect(view.output.contains("/leases/\(job)-1-1/work"), "\(view)")
        #expect(view.errors == "oops\n", "\(view)")

        let piped = try await network.iorun(
          "exec", job, "-i", "--", "wc", "-c", input: String(repeating: "x", count: 3_000_000))
        #expect(piped.output.trimmingCharacters(in: .whitespacesAndNewlines) == "3000000")
        // Without -i a command has no input, and does not wait for any.
        let silent = try await network.iorun("exec", job, "--", "cat", input: "not for it")
        #expect(silent.status == 0 && silent.output.isEmpty, "\(silent)")
        // A command that reads nothing of what it is given.
        let deaf = try await network.iorun(
          "exec", job, "-i", "--", "true", input: String(repeating: "x", count: 3_000_000))
        #expect(deaf.status == 0, "\(deaf)")

        let killed = try await network.iorun("exec", job, "--", "sh", "-c", "kill -9 $$")
        #expect(killed.status == 128 + 9, "\(killed)")
        let absent = try await network.iorun("exec", job, "--", "no-such-program")
        #expect(absent.status == 127, "\(absent)")
        #expect(absent.errors.contains("'no-such-program' was not found"), "\(absent)")
        let much = try await network.iorun(
          "exec", job, "--", "head", "-c", "20000000", "/dev/zero")
        #expect(much.output.utf8.count == 20_000_000)

        let nobody = try await network.iorun("exec", "\(job):5", "--", "true")
        #expect(nobody.status == 4, "\(nobody)")
      }
    }

    @Test(.timeLimit(.minutes(2)))
    func `hears Ctrl-C, and ends with its person and with its rank`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let job = try await network.sleeper()
        let trapping = try network.start([
          "exec", job, "--", "sh", "-c",
          "trap 'echo heard; exit 5' INT; echo ready; while :; do sleep 0.05; done",
        ])
        try await trapping.prints("ready")
        trapping.signal(SIGINT)
        let heard = try await trapping.finish()
        #expect(heard.status == 5, "\(heard)")
        #expect(heard.output == "ready\nheard\n", "\(heard)")

        // The rank ends while a command runs: the command and what it started are gone.
        let marker = "IETEST=\(UUID().uuidString)"
        let running = try network.start([
          "exec", job, "--", "sh", "-c",
          "export \(marker); setsid sleep 300 & trap '' TERM HUP; echo on; sleep 300; sleep 300",
        ])
        try await running.prints("on")
        try await eventually("both run") { ProcessScan.all(marker).count >= 2 }
        let forward = try network.start(["port-forward", job, "0:1234"])
        try await forward.prints("leads to port 1234")
        try #require(try await network.iorun("cancel", job).status == 0)
        #expect(ProcessScan.all(marker).isEmpty, "cancel waits for the commands, too")
        let cut = try await running.finish()
        #expect(cut.status == 1, "\(cut)")
        #expect(cut.errors.contains("IOR-1601"), "\(cut)")
        let end = try await forward.finish()
        #expect(end.status == 1, "\(end)")
        #expect(end.errors.contains("IOR-1601"), "\(end)")

        let late = try await network.iorun("exec", job, "--", "true")
        #expect(late.errors.contains("IOR-1601"), "\(late)")
        #expect(late.errors.contains("was cancelled"), "\(late)")
      }
    }

    @Test(.timeLimit(.minutes(2)))
    func `is nobody's but the owner's; a stranger does not even hear that the job is there`()
      async throws
    {
      try await TestNetwork.with(nodes: 1) { network in
        let job = try await network.sleeper()
        let other = network.root + "/other"
        let ticket = try await network.iorun("ticket", "create", "--role", "buyer")
        let environment = ["IORUN_HEAD_TICKET": try #require(ticket.lines.last)]
        for arguments in [
          ["exec", job, "--", "true"], ["port-forward", job, "0:1"], ["cp", "\(job):x", "y"],
        ] {
          let refused = try await network.start(
            arguments, state: other, environment: environment
          ).finish()
          #expect(refused.status == 4, "\(refused)")
          #expect(refused.errors.contains("IOR-1305"), "\(refused)")
        }
      }
    }

    @Test(.timeLimit(.minutes(2)))
    func `has a real terminal with -it, and the person's is put back whatever happens`()
      async throws
    {
      try await TestNetwork.with(nodes: 1) { network in
        let job = try await network.sleeper()
        let script = try network.write(Self.terminalScript, to: "terminal.py")
        let result = try await network.run(
          "env", "IORUN_STATE_DIR=\(network.state)", "python3", script, Binaries.iorun, job,
          within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        #expect(
          result.lines == [
            "terminal", "size 33 101", "resized 44 77", "interrupted 130", "status 9", "restored",
            "killed: restored",
          ], "\(result)")
      }
    }

    /// Plays a person at a terminal: what is typed, seen, and what becomes of the terminal.
    private static let terminalScript = #"""
      import fcntl, os, pty, re, select, signal, struct, sys, termios, time
      iorun, job = sys.argv[1:3]
      def size(fd, rows, columns):
          fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
      def begin():
          master, slave = pty.openpty()
          size(master, 33, 101)
          before = termios.tcgetattr(slave)
          pid = os.fork()
          if pid == 0:
              os.setsid()
              fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
              for fd in range(3): os.dup2(slave, fd)
              os.execv(iorun, [iorun, "exec", job, "-it", "--", "sh"])
          return master, slave, before, pid
      def read(master, pattern):
          seen, end = b"", time.time() + 20
          while not re.search(pattern, seen):
              if time.time() > end: sys.exit("never saw %r in %r" % (pattern, seen))
              if select.select([master], [], [], 0.2)[0]: seen += os.read(master, 65536)
          return re.search(pattern, seen)
      def back(slave, before):
          end = time.time() + 10
          while termios.tcgetattr(slave) != before and time.time() < end: time.sleep(0.02)
          return termios.tcgetattr(slave) == before
      master, slave, before, pid = begin()
      type = lambda text: os.write(master, text)
      type(b"tty | sed 's,/dev/pts/.*,is-a-terminal,'; PS1=; echo go''ne\n")
      read(master, rb"is-a-terminal[\s\S]*gone\r\n")
      print("terminal")
      assert termios.tcgetattr(slave) != before
      type(b"echo si''ze $(stty size)\n")
      print("size", read(master, rb"size (\d+ \d+)\r\n").group(1).decode())
      size(master, 44, 77)
      os.kill(pid, signal.SIGWINCH)
      type(b"while [ \"$(stty size)\" != '44 77' ]; do sleep 0.02; done; echo re''sized $(stty size)\n")
      print("resized", read(master, rb"resized (\d+ \d+)\r\n").group(1).decode())
      type(b"echo sle''eping; sleep 100\n")
      read(master, rb"sleeping\r\n")
      type(b"\x03")
      type(b"echo inter''rupted $?\n")
      print("interrupted", read(master, rb"interrupted (\d+)\r\n").group(1).decode())
      type(b"exit 9\n")
      print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
      print("restored" if back(slave, before) else "left raw")
      master, slave, before, pid = begin()
      os.write(master, b"echo he''re\n")
      read(master, rb"here\r\n")
      assert termios.tcgetattr(slave) != before
      os.kill(pid, signal.SIGKILL)
      os.waitpid(pid, 0)
      print("killed:", "restored" if back(slave, before) else "left raw")
      """#
  }
}

extension TestNetwork {
  /// A job whose ranks do nothing for a long time, once it runs.
  func sleeper(_ arguments: String...) async throws -> String {
    let running = try start(
      ["submit", "--detach", "--json"] + arguments + ["--", "sleep", "600"])
    let result = try await running.finish()
    try #require(result.status == 0, "\(result)")
    let id = try #require(try result.json()["id"] as? String)
    _ = try await job(id, reaches: "running")
    try await eventually("all ranks run") {
      let ranks = try await self.job(id)["ranks"] as? [[String: Any]] ?? []
      return !ranks.isEmpty && ranks.allSatisfy { $0["state"] as? String == "running" }
    }
    return id
  }
}
