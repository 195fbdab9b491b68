import CShim
import Foundation
import Glibc
import IorunContract
import IorunCore
import IorunSandbox
import IorunTunnel
import Synchronization

/// One rank's process tree: a supervisor of our own, below it the rank's command and whatever that
/// starts. The tree dies with the supervisor's order, with the command, or with this process, even
/// by `kill -9`, because the supervisor holds the other end of a channel to it.
final class RankProcess: Sendable {
  /// What to run.
  struct Launch: Sendable {
    /// The file of a program that calls `iorun_supervise`.
    var supervisor: String
    /// The program, looked up in the environment's `PATH`, and its arguments.
    var command: [String]
    /// All of the command's environment.
    var environment: [String: String]
    /// The folder to run it in.
    var folder: String
    /// How long what the command leaves behind has between `SIGTERM` and `SIGKILL`.
    var leftoverGrace: Duration = .milliseconds(250)
    /// The network that the whole tree is in; `nil` for this process's.
    var network: RankNetwork?
    /// The sandbox that the whole tree is in; `nil` for an ordinary process. It has `network` itself.
    var seal: RankSeal?
    /// Descriptors that the command of a sandbox inherits, from 5 on; at most 2. They stay the caller's.
    var shared: [Int32] = []
  }

  /// How the tree ended.
  struct End: Hashable, Sendable {
    /// What became of the command.
    var cause: ExitCause
    /// True where `terminate` or `kill` came before the command ended by itself.
    var wasAsked: Bool
    /// What it used in its sandbox; `nil` for an ordinary process.
    var usage: RankUsage?
  }

  private struct State {
    /// Our end of the channel; `nil` once it is closed, so that its number is never used again.
    var channel: Int32?
    var end: End?
    /// True from the moment in which the command runs.
    var isRunning = false
    var waiters: [CheckedContinuation<End, Never>] = []
    /// Who waits for the command to run, or to be known never to.
    var startWaiters: [CheckedContinuation<Void, Never>] = []
  }

  private let launch: Launch
  private let supervisor: pid_t
  /// The sandbox; `supervisor` is then its driver's process.
  let box: SandboxProcess?
  private let state: Mutex<State>

  /// Starts the supervisor, which starts the command. Blocks until the supervisor runs; that the
  /// command could not be started is told by `end()`. What the tree prints goes to `log`, which is
  /// finished when the tree is gone. Throws `spawnFailed`, and `specInvalid` for a command that no
  /// process can have.
  static func start(_ launch: Launch, log: RankLog) throws -> RankProcess {
    let hasZero = launch.command.contains { $0.utf8.contains(0) }
    guard launch.command.first?.isEmpty == false, !hasZero else {
      throw IorunError(
        .specInvalid, "the job's command is empty or has a zero byte",
        remedy: "Give the program and its arguments as plain text")
    }
    var output: [Int32] = [-1, -1]
    var channel: [Int32] = [-1, -1]
    defer { for descriptor in [output[1], channel[1]] where descriptor >= 0 { close(descriptor) } }
    var text: [UInt8] = []
    for (name, value) in launch.environment.sorted(by: { $0.key < $1.key }) {
      text += Array("\(name)=\(value)".utf8) + [0]
    }
    let variables = iorun_memory_file(text, text.count)
    defer { if variables >= 0 { close(variables) } }
    var pid: pid_t = 0
    var failure = min(variables, 0)
    if failure == 0 { failure = iorun_pipe(&output) }
    if failure == 0 { failure = iorun_socket_pair(&channel) }
    if failure == 0, let seal = launch.seal {
      do {
        return try start(
          launch, in: seal, output: (output[0], output[1]), channel: channel[0],
          inherited: [channel[1], variables] + launch.shared, log: log)
      } catch {
        for descriptor in [output[0], channel[0]] { close(descriptor) }
        throw error
      }
    }
    if failure == 0 {
      // The supervisor enters the network itself, see iorun_supervise.
      let network = launch.network.map { [$0.namespace.descriptor] } ?? []
      failure = -spawn(
        launch, output: output[1], inherited: [channel[1], variables] + network, &pid)
    }
    guard failure == 0 else {
      for descriptor in [output[0], channel[0]] where descriptor >= 0 { close(descriptor) }
      throw IorunError(
        .spawnFailed,
        "no supervisor for the rank could be started: "
          + String(cString: strerror(-failure)),
        remedy: "Check the node's process and memory limits, and that iorun's file is still there")
    }
    let process = RankProcess(launch: launch, supervisor: pid, box: nil, channel: channel[0])
    let pump = process.pump(output: output[0], channel: channel[0], log: log)
    // Blocks on the rank's output for as long as the rank lives: never on the cooperative pool.
    let thread = Thread { [pump] in process.follow(pump) }
    thread.name = "iorun-rank"
    thread.stackSize = 512 * 1024
    thread.start()
    return process
  }

  /// The same in a sandbox. Its driver's process ends with the thread that started it, so that is the
  /// one that follows the rank to its end.
  private static func start(
    _ launch: Launch, in seal: RankSeal, output: (own: Int32, theirs: Int32), channel: Int32,
    inherited: [Int32], log: RankLog
  ) throws -> RankProcess {
    let arguments = ["__supervise", "\(Int(launch.leftoverGrace / .milliseconds(1)))"]
    let outcome = Handover<Result<RankProcess, any Error>>()
    let body: @Sendable () -> Void = {
      do {
        let box = try seal.launch(
          arguments + launch.command, output: output.theirs, inherited: inherited)
        let process = RankProcess(
          launch: launch, supervisor: box.pid, box: box, channel: channel)
        outcome.give(.success(process))
        process.follow(process.pump(output: output.own, channel: channel, log: log))
      } catch {
        outcome.give(.failure(error))
      }
    }
    let thread = Thread(block: body)
    thread.name = "iorun-rank"
    thread.stackSize = 512 * 1024
    thread.start()
    guard let result = outcome.wait() else {
      throw IorunError(.internalFault, "a rank's sandbox was neither started nor refused")
    }
    return try result.get()
  }

  private init(launch: Launch, supervisor: pid_t, box: SandboxProcess?, channel: Int32) {
    self.launch = launch
    self.supervisor = supervisor
    self.box = box
    state = Mutex(State(channel: channel))
  }

  private func pump(output: Int32, channel: Int32, log: RankLog) -> RankPump {
    var pump = RankPump(output: output, channel: channel, log: log)
    pump.hasStarted = { self.tellStart { $0.isRunning = true } }
    return pump
  }

  /// Waits until the command runs, or until it is known that it never will: the supervisor says one
  /// or the other within moments.
  func untilRunning() async {
    await withCheckedContinuation { continuation in
      let isKnown = state.withLock { state in
        if state.isRunning || state.channel == nil { return true }
        state.startWaiters.append(continuation)
        return false
      }
      if isKnown { continuation.resume() }
    }
  }

  private func tellStart(_ change: (inout State) -> Void) {
    let waiters = state.withLock { state in
      change(&state)
      defer { state.startWaiters = [] }
      return state.startWaiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// The namespaces that the rank's command began in, where they are not this process's own; `nil`
  /// where the command does not run. The caller closes the descriptors.
  ///
  /// - Throws: `spawnFailed` where they cannot be opened.
  func namespaces() throws -> RankNamespaces? {
    // Under the lock: the supervisor is not reaped meanwhile, so that its id is its own.
    try state.withLock { state in
      guard state.isRunning, state.channel != nil, state.end == nil else { return nil }
      guard let box else { return try RankNamespaces(of: supervisor) }
      return try box.whileRunning { try RankNamespaces(of: $0) }
    }
  }

  /// Waits until nothing of the tree is left. Any number of callers; it does end, because `kill`
  /// ends every tree.
  func end() async -> End {
    await withCheckedContinuation { continuation in
      let end = state.withLock { state -> End? in
        if state.end == nil { state.waiters.append(continuation) }
        return state.end
      }
      if let end { continuation.resume(returning: end) }
    }
  }

  /// Sends `SIGTERM` to the whole tree, and after `grace` `SIGKILL` until none is left. Returns at
  /// once where the tree is gone, else when the kill is under way or the tree is gone.
  func terminate(grace: Duration, clock: any Clock<Duration> = ContinuousClock()) async {
    order(iorun_control_terminate)
    let sleep = Task { try? await clock.sleep(for: grace) }
    Task {
      _ = await self.end()
      sleep.cancel()
    }
    await sleep.value
    kill()
  }

  /// Sends `SIGKILL` to the whole tree until none is left.
  func kill() {
    order(iorun_control_kill)
    guard let box else { return }
    // What is in the sandbox may have stopped its supervisor. It blocks for a moment.
    Thread.detachNewThread { box.kill() }
  }

  private func order(_ byte: some BinaryInteger) {
    state.withLock { state in
      // A supervisor that is gone needs no order.
      if let channel = state.channel { _ = iorun_send_byte(channel, UInt8(byte)) }
    }
  }

  /// The thread's whole life.
  private func follow(_ pump: RankPump) {
    let record = pump.run()
    if record.end == nil, box == nil, let command = record.started {
      // The supervisor was killed. The command died with it; what it started may live.
      Glibc.kill(-command, SIGKILL)
    }
    tellStart { state in
      if let channel = state.channel { close(channel) }
      state.channel = nil
    }
    var status: Int32 = 0
    var usage: RankUsage?
    if let box {
      (status, usage) = Self.status(of: box, scratch: launch.seal?.spec.scratch, log: pump.log)
    } else {
      while waitpid(supervisor, &status, 0) < 0 && errno == EINTR {}
    }
    var end = describe(record, supervisorStatus: status)
    end.usage = usage
    if record.end == nil, record.started != nil {
      pump.log.note("the rank's supervisor ended before the rank did")
    }
    pump.log.finish()
    let waiters = state.withLock { state in
      state.end = end
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume(returning: end) }
  }

  /// Waits for the end of a sandbox, of which nothing is left then, and notes the limits that it met.
  /// Returns its end as wait(2) has it, and what was counted.
  private static func status(
    of box: SandboxProcess, scratch: String?, log: RankLog
  ) -> (Int32, RankUsage?) {
    let last = Handover<SandboxExit>()
    Task { last.give(await box.wait()) }
    guard let end = last.wait() else { return (SIGKILL, nil) }
    var usage = RankUsage(end)
    if end.isOutOfMemory {
      let peak = end.usage.peakMemory.map { ", the most at once was \($0)" } ?? ""
      log.note("it met its limit of memory: \(end.usage.outOfMemoryKills) processes killed\(peak)")
    }
    if end.limitsHit.contains(.processes) {
      log.note("it met its limit of processes: \(end.usage.refusedProcesses) were refused")
    }
    if let scratch, let size = Self.sizeIfFull(scratch) {
      log.note("it met its limit of disk: its working folder is full, \(size)")
      usage.limitsHit.append("disk")
    }
    switch end.cause {
    case .exited(let status): return (status << 8, usage)
    case .signalled(let signal): return (signal, usage)
    default: return (SIGKILL, usage)
    }
  }

  /// The size of the file system at `path` where next to nothing fits into it any more: a write that
  /// does not fit leaves the room free that it did not find enough.
  private static func sizeIfFull(_ path: String) -> Bytes? {
    var room = statvfs()
    guard statvfs(path, &room) == 0 else { return nil }
    let unit = UInt64(room.f_frsize)
    let free = Bytes(UInt64(room.f_bavail) * unit)
    return free < .mebi(2) || room.f_favail == 0 ? Bytes(UInt64(room.f_blocks) * unit) : nil
  }

  private func describe(_ record: RankPump.Records, supervisorStatus: Int32) -> End {
    guard let end = record.end else {
      let signal = supervisorStatus & 0x7f
      guard record.started != nil else {
        let how = signal == 0 ? "status \(supervisorStatus >> 8 & 0xff)" : "signal \(signal)"
        let reason = "its supervisor '\(launch.supervisor)' ended with \(how) before it began"
        return End(cause: .notStarted(reason: reason), wasAsked: false)
      }
      return End(cause: .signalled(signal: signal == 0 ? SIGKILL : signal), wasAsked: false)
    }
    let wasAsked = end.asked != 0
    switch Int(end.kind) {
    case Int(iorun_record_exited):
      return End(cause: .exited(status: end.value), wasAsked: wasAsked)
    case Int(iorun_record_signalled):
      return End(cause: .signalled(signal: end.value), wasAsked: wasAsked)
    default:
      let reason = StartFailure.reason(
        end.value, command: launch.command.first ?? "", folder: launch.folder,
        searchPath: launch.environment["PATH", default: "not set"])
      return End(cause: .notStarted(reason: reason), wasAsked: wasAsked)
    }
  }

  /// A supervisor itself needs only what its own libraries need.
  static var supervisorEnvironment: [String: String] {
    ProcessInfo.processInfo.environment.filter { ["PATH", "LD_LIBRARY_PATH"].contains($0.key) }
  }

  /// Returns 0 or an errno.
  private static func spawn(
    _ launch: Launch, output: Int32, inherited: [Int32], _ pid: inout pid_t
  ) -> Int32 {
    let milliseconds = launch.leftoverGrace / .milliseconds(1)
    let network = launch.network.map { "@\($0.folder)" } ?? ""
    let arguments = ["iorun", "__supervise", "\(Int(milliseconds))\(network)"] + launch.command
    let environment = supervisorEnvironment.map { "\($0.key)=\($0.value)" }
    return withCStrings(arguments) { argv in
      withCStrings(environment) { envp in
        iorun_spawn(
          launch.supervisor, argv, envp, launch.folder, output, inherited,
          Int32(inherited.count), &pid)
      }
    }
  }
}

/// One value, from whoever has it to a thread that may block for it.
private final class Handover<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let isGiven = DispatchSemaphore(value: 0)

  func give(_ new: Value) {
    value.withLock { $0 = new }
    isGiven.signal()
  }

  func wait() -> Value? {
    isGiven.wait()
    return value.withLock { $0 }
  }
}
