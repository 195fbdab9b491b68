import Glibc
import IorunContract
import IorunCore
import Synchronization

extension RankVisit {
  private static let piece = 32 << 10
  /// How long a command has between a hang-up and its end, when its person is gone.
  private static let hangUpGrace = Duration.seconds(1)

  /// Starts a command beside a rank. Throws `rankEnded`, `spawnFailed`, `specInvalid`.
  static func command(_ execution: Execution, _ view: RankView) async throws -> RankVisit {
    await view.process.untilRunning()
    let process = try await Blocking.run {
      guard let namespaces = try view.process.namespaces() else {
        throw IorunError(.rankEnded, "the rank's process has ended")
      }
      return try SessionProcess.start(
        execution, beside: view.launch, in: namespaces, box: view.process.box)
    }
    return RankVisit {
      await run(process, $0)
    } abandon: {
      process.kill()
      _ = await process.end()
    }
  }

  private static func run(_ process: SessionProcess, _ stream: MeshStream) async {
    let end = Task { await process.end() }
    let obeying = Task { await obey(stream, process) }
    do {
      try await withThrowingTaskGroup { group in
        group.addTask {
          try await copy(process.output, to: stream) { .output($0) }
        }
        if let errors = process.errors {
          group.addTask { try await copy(errors, to: stream) { .errors($0) } }
        }
        try await group.waitForAll()
      }
      // A command may close its output and go on.
      let last = await withTaskCancellationHandler {
        await end.value
      } onCancel: {
        process.kill()
      }
      try Task.checkCancellation()
      try await stream.write(last.encoded)
      try await stream.finish()
      try await stream.drained()
      obeying.cancel()
      // Whatever the client still sends is for nobody.
      stream.reset(IorunError(.cancelled, "the command has ended"))
    } catch {
      obeying.cancel()
      stream.reset(
        error as? IorunError ?? IorunError(.cancelled, "the command was given up", cause: error))
    }
    await hangUp(process, end)
    await obeying.value
    process.input.close()
    process.output.close()
    process.errors?.close()
  }

  /// Ends what is left of a command whose person is gone: first as a terminal does that is closed.
  private static func hangUp(_ process: SessionProcess, _ end: Task<ExecRecord, Never>) async {
    process.signal(SIGHUP)
    process.terminate()
    let timer = Task.detached {
      try await Task.sleep(for: hangUpGrace)
      process.kill()
    }
    _ = await end.value
    timer.cancel()
  }

  private static func copy(
    _ source: Descriptor, to stream: MeshStream, as record: @Sendable ([UInt8]) -> ExecRecord
  ) async throws {
    while let bytes = try await source.read(upTo: piece) {
      try await stream.write(record(bytes).encoded)
    }
  }

  /// Does what the client says until it says no more; then the command's person is gone.
  private static func obey(_ stream: MeshStream, _ process: SessionProcess) async {
    // Input waits apart: a signal must reach a command that reads none.
    let queue = InputQueue()
    let feeding = Task { await feed(process, from: queue) }
    var records = ExecRecordReader(stream)
    do {
      while let record = try await records.next() {
        switch record {
        case .input(let bytes): try await queue.put(bytes)
        case .inputEnd: queue.finish()
        case .resize(let size): process.resize(size)
        case .signal(let number): process.signal(number)
        case .output, .errors, .exited, .signalled, .notStarted:
          throw IorunError(.malformed, "a client does not say how a command ends")
        }
      }
    } catch {
      if !Task.isCancelled {
        stream.reset(
          error as? IorunError ?? IorunError(.cancelled, "the client is gone", cause: error))
        process.signal(SIGHUP)
        process.terminate()
        // Detached, so that it happens whoever gives up this task.
        Task.detached {
          try await Task.sleep(for: hangUpGrace)
          process.kill()
        }
      }
    }
    queue.finish()
    feeding.cancel()
    await feeding.value
  }

  private static func feed(_ process: SessionProcess, from queue: InputQueue) async {
    while let bytes = await queue.next() {
      // A command that closed its input has no use for more of it.
      guard (try? await process.input.write(bytes)) != nil else { break }
    }
    queue.abandon()
    if Task.isCancelled { return }
    if process.hasTerminal {
      // The end of input, as a terminal's person says it: Ctrl-D.
      try? await process.input.write([4])
    } else {
      process.input.close()
    }
  }
}

/// Input that waits for its command, bounded.
private final class InputQueue: Sendable {
  private static let mostBytes = 1 << 20

  private struct State {
    var parts: [[UInt8]] = []
    var bytes = 0
    var isFinished = false
    var isAbandoned = false
    var reader: CheckedContinuation<Void, Never>?
    var writer: CheckedContinuation<Void, Never>?

    mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
      defer { (reader, writer) = (nil, nil) }
      return [reader, writer].compactMap { $0 }
    }
  }

  private let state = Mutex(State())

  func put(_ bytes: [UInt8]) async throws {
    let waiters = state.withLock { state in
      guard !state.isAbandoned, !state.isFinished else { return state.takeWaiters() }
      state.parts.append(bytes)
      state.bytes += bytes.count
      return state.takeWaiters()
    }
    for waiter in waiters { waiter.resume() }
    await wait(asWriter: true) { $0.bytes <= Self.mostBytes || $0.isAbandoned }
    try Task.checkCancellation()
  }

  func next() async -> [UInt8]? {
    await wait(asWriter: false) { !$0.parts.isEmpty || $0.isFinished }
    let (part, waiters) = state.withLock {
      state -> ([UInt8]?, [CheckedContinuation<Void, Never>]) in
      guard !state.parts.isEmpty, !Task.isCancelled else { return (nil, []) }
      let part = state.parts.removeFirst()
      state.bytes -= part.count
      return (part, state.takeWaiters())
    }
    for waiter in waiters { waiter.resume() }
    return part
  }

  func finish() { change { $0.isFinished = true } }

  /// Nobody takes any more.
  func abandon() {
    change { state in
      state.isAbandoned = true
      state.parts = []
      state.bytes = 0
    }
  }

  private func change(_ body: (inout sending State) -> Void) {
    let waiters = state.withLock { state in
      body(&state)
      return state.takeWaiters()
    }
    for waiter in waiters { waiter.resume() }
  }

  private func wait(asWriter: Bool, until condition: @Sendable (State) -> Bool) async {
    while !Task.isCancelled, !state.withLock({ condition($0) }) {
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let isDue = state.withLock { state in
            if condition(state) || Task.isCancelled { return true }
            if asWriter { state.writer = continuation } else { state.reader = continuation }
            return false
          }
          if isDue { continuation.resume() }
        }
      } onCancel: {
        for waiter in state.withLock({ $0.takeWaiters() }) { waiter.resume() }
      }
    }
  }
}
