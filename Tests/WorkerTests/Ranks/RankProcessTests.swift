import CShim
import Foundation
import Glibc
import IorunCore
import Testing

@testable import IorunWorker

@Suite("Rank processes", .timeLimit(.minutes(3)))
struct RankProcessTests {
  @Test("a rank's exit status is its cause", arguments: [0, 1, 77, 255] as [Int32])
  func status(_ status: Int32) async throws {
    let (end, _) = try await RealProcesses.run("exit \(status)", in: TemporaryFolder())
    #expect(end == RankProcess.End(cause: .exited(status: status), wasAsked: false))
  }

  @Test("a rank that a signal killed says so", arguments: [SIGKILL, SIGSEGV, SIGTERM])
  func signal(_ number: Int32) async throws {
    let (end, _) = try await RealProcesses.run("kill -\(number) $$", in: TemporaryFolder())
    #expect(end == RankProcess.End(cause: .signalled(signal: number), wasAsked: false))
  }

  @Test(
    "a command that cannot be started is told with its reason",
    arguments: [
      ("no-such-command-anywhere", "was not found on the node"),
      ("./missing", "is not in the job's working folder"),
      ("/missing/program", "is not on the node"),
      ("./plain", "chmod +x"),
      ("./script", "the interpreter or loader it names is not on the node"),
    ])
  func notStarted(command: String, reason: String) async throws {
    let folder = try TemporaryFolder()
    try folder.write("text", to: "plain")
    try folder.write("#!/no/such/interpreter\n", to: "script")
    chmod(folder.path + "/script", 0o755)
    let (end, _) = try await RealProcesses.run([command], in: folder)
    guard case .notStarted(let text) = end.cause else {
      Issue.record("ended as \(end.cause)")
      return
    }
    #expect(text.contains(reason), "\(text)")
  }

  @Test("a missing supervisor is a typed error")
  func noSupervisor() throws {
    let folder = try TemporaryFolder()
    var launch = RealProcesses.launch(["true"], in: folder)
    launch.supervisor = "/no/such/iorun"
    let log = try RankLog(file: folder.path + "/log")
    #expect { try RankProcess.start(launch, log: log) } throws: {
      ($0 as? IorunError)?.code == .spawnFailed
    }
  }

  @Test("a supervisor that ends before it starts the command is told as such")
  func foreignSupervisor() async throws {
    let folder = try TemporaryFolder()
    var launch = RealProcesses.launch(["true"], in: folder)
    launch.supervisor = "/bin/false"
    let log = try RankLog(file: folder.path + "/log")
    let end = await (try RankProcess.start(launch, log: log)).end()
    let reason = "its supervisor '/bin/false' ended with status 1 before it began"
    #expect(end.cause == .notStarted(reason: reason))
  }

  @Test("a command that no process can have is refused", arguments: [[], [""], ["echo", "a\0b"]])
  func impossible(command: [String]) throws {
    let folder = try TemporaryFolder()
    let log = try RankLog(file: folder.path + "/log")
    let launch = RealProcesses.launch(command, in: folder)
    #expect { try RankProcess.start(launch, log: log) } throws: {
      ($0 as? IorunError)?.code == .specInvalid
    }
  }

  @Test("both streams come in the order in which they were written, to the last byte")
  func order() async throws {
    let script = "i=0; while [ $i -lt 500 ]; do echo $i; echo $i >&2; i=$((i+1)); done; printf end"
    let (_, text) = try await RealProcesses.run(script, in: TemporaryFolder())
    #expect(text == (0..<500).map { "\($0)\n\($0)\n" }.joined() + "end")
  }

  @Test("a rank sees the given environment, an empty stdin and no foreign descriptor")
  func clean() async throws {
    let own = "-e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD="
    let script = "env | grep -v \(own) | sort; wc -c; ls /proc/$$/fd"
    let folder = try TemporaryFolder()
    let (_, text) = try await RealProcesses.run(script, in: folder)
    let expected = "HOME=\(folder.path)\nPATH=/usr/local/bin:/usr/bin:/bin\n0\n0\n1\n2\n"
    #expect(text == expected)
  }

  @Test("a rank starts with no signal blocked or ignored")
  func signals() async throws {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    let (_, text) = try await RealProcesses.run(script, in: TemporaryFolder())
    let masks = text.split(separator: "\n").compactMap { line in
      line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
    }
    // 32 and 33 are the C library's own and stay as they were inherited.
    let own: UInt64 = 1 << 31 | 1 << 32
    #expect(masks.map { $0 & ~own } == [0, 0])
  }

  @Test("terminate gives a rank time to end in its own way")
  func gentle() async throws {
    let folder = try TemporaryFolder()
    let script = "trap 'echo saved; exit 3' TERM; echo $$ > ready; while :; do sleep 0.05; done"
    let log = try RankLog(file: folder.path + "/log")
    let process = try RankProcess.start(
      RealProcesses.launch(["/bin/sh", "-c", script], in: folder), log: log)
    _ = try await RealProcesses.pid(in: "ready", of: folder)
    await process.terminate(grace: .seconds(30))
    #expect(await process.end() == RankProcess.End(cause: .exited(status: 3), wasAsked: true))
    #expect(log.lastLines(1) == ["saved"])
  }

  @Test("terminate leaves nothing, not even what left the session, forked twice, ignores SIGTERM")
  func tree() async throws {
    let folder = try TemporaryFolder()
    let script = "trap '' TERM; \(RealProcesses.escape)\n while :; do sleep 1; done"
    let log = try RankLog(file: folder.path + "/log")
    let process = try RankProcess.start(
      RealProcesses.launch(["/bin/sh", "-c", script], in: folder), log: log)
    let grandchild = try await RealProcesses.pid(in: "grandchild", of: folder)
    #expect(RealProcesses.isAlive(grandchild))
    await process.terminate(grace: .milliseconds(100))
    let end = await process.end()
    #expect(end == RankProcess.End(cause: .signalled(signal: SIGKILL), wasAsked: true))
    #expect(!RealProcesses.isAlive(grandchild))
  }

  @Test("what a rank leaves behind when it ends is gone before its end is told")
  func leftovers() async throws {
    let folder = try TemporaryFolder()
    let (end, _) = try await RealProcesses.run(RealProcesses.escape + "\nexit 5", in: folder)
    #expect(end == RankProcess.End(cause: .exited(status: 5), wasAsked: false))
    let grandchild = try await RealProcesses.pid(in: "grandchild", of: folder)
    #expect(!RealProcesses.isAlive(grandchild))
  }

  /// Another process plays the agent: it holds the only other end of the supervisor's channel.
  @Test("kill -9 of the agent kills the whole tree")
  func agentDies() async throws {
    let folder = try TemporaryFolder()
    let script = "\(RealProcesses.escape)\n echo $$ > child; while :; do sleep 1; done"
    var channel: [Int32] = [-1, -1]
    #expect(iorun_socket_pair(&channel) == 0)
    let variables = Array("PATH=/usr/bin:/bin".utf8) + [0]
    let memory = iorun_memory_file(variables, variables.count)
    let output = open("/dev/null", O_WRONLY | O_CLOEXEC)
    var pid: pid_t = 0
    var agent: pid_t = 0
    var agentWords = ["sleep", "1000"].map { $0.withCString { strdup($0) } } + [nil]
    var words =
      ["iorun", "__supervise", "100", "/bin/sh", "-c", script].map { $0.withCString { strdup($0) } }
      + [nil]
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    let failure = iorun_spawn(
      RealProcesses.supervisor, &words, &environment, folder.path, output,
      [channel[1], memory], 2, &pid)
    let agentFailure = iorun_spawn(
      "/bin/sleep", &agentWords, &environment, nil, output, [channel[0]], 1, &agent)
    for word in words + agentWords { free(word) }
    for descriptor in channel + [memory, output] { close(descriptor) }
    try #require(failure == 0 && agentFailure == 0)
    let child = try await RealProcesses.pid(in: "child", of: folder)
    let grandchild = try await RealProcesses.pid(in: "grandchild", of: folder)
    #expect(RealProcesses.isAlive(child) && RealProcesses.isAlive(grandchild))

    kill(agent, SIGKILL)
    waitpid(agent, nil, 0)

    let supervisor = pid
    try await eventually("the supervisor ends") { waitpid(supervisor, nil, WNOHANG) == supervisor }
    #expect(!RealProcesses.isAlive(child) && !RealProcesses.isAlive(grandchild))
  }

  @Test("a killed supervisor takes its rank along and is told as a kill")
  func supervisorDies() async throws {
    let folder = try TemporaryFolder()
    let log = try RankLog(file: folder.path + "/log")
    let script = "echo $PPID > supervisor; echo $$ > child; while :; do sleep 1; done"
    let process = try RankProcess.start(
      RealProcesses.launch(["/bin/sh", "-c", script], in: folder), log: log)
    let child = try await RealProcesses.pid(in: "child", of: folder)
    kill(try await RealProcesses.pid(in: "supervisor", of: folder), SIGKILL)
    #expect(await process.end().cause == .signalled(signal: SIGKILL))
    try await eventually("the rank is gone") { !RealProcesses.isAlive(child) }
    #expect(log.lastLines(1) == ["[iorun] the rank's supervisor ended before the rank did"])
  }
}
