internal import Foundation
internal import IorunCore
internal import IorunWire
internal import Logging
internal import Synchronization

/// Runs the tasks that other processes send: one at a time, in order. While a task waits for an object,
/// the next one runs.
final class TaskRunner: Sendable {
  private struct Running {
    let line: WorkLine
    let context: TaskContext
  }

  private struct State {
    var queue: [InboundTask] = []
    var head = 0
    /// How many tasks run that do not wait.
    var active = 0
    var waiting = 0
    var saidBlocked = false
    var running: [InboundTask.Key: Running] = [:]
    var streams: [InboundTask.Key: StreamCredit] = [:]
  }

  private struct Nothing: Encodable {}

  private let state = Mutex(State())
  private let registry: [String: TaskRegistration]
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess, tasks: [TaskRegistration]) {
    self.process = process
    registry = Dictionary(tasks.map { ($0.name, $0) }) { first, _ in first }
  }

  /// Takes a task. The first one that finds nobody at work starts a line of work.
  func append(_ task: InboundTask) {
    let starts = state.withLock { state in
      state.queue.append(task)
      return begin(&state)
    }
    if starts { work() }
  }

  private func begin(_ state: inout State) -> Bool {
    guard state.active == 0, state.head < state.queue.count else { return false }
    state.active += 1
    if state.saidBlocked {
      state.saidBlocked = false
      process.hub.note(.unblocked, Nothing())
    }
    return true
  }

  /// All that this worker does is wait: the node may lend its CPU.
  private func lendWhereIdle(_ state: inout State) {
    guard state.active == 0, state.waiting > 0, !state.saidBlocked else { return }
    state.saidBlocked = true
    process.hub.note(.blocked, Nothing())
  }

  private func next() -> InboundTask? {
    state.withLock { state in
      // Another line of work goes on where a task that waited has come back.
      guard state.active <= 1, state.head < state.queue.count else {
        state.active -= 1
        lendWhereIdle(&state)
        return nil
      }
      let task = state.queue[state.head]
      state.head += 1
      if state.head == state.queue.count {
        state.queue.removeAll(keepingCapacity: state.queue.capacity < 8192)
        state.head = 0
      }
      return task
    }
  }

  /// Works off the queue on a Swift task of its own, until nothing is left or a task was cancelled:
  /// a cancelled Swift task is used no more.
  private func work() {
    let line = WorkLine()
    line.task = Task(executorPreference: process.executor) { [self] in
      while let task = next() {
        await run(task, on: line)
        guard line.isCancelled else { continue }
        let starts = state.withLock { state in
          state.active -= 1
          if begin(&state) { return true }
          lendWhereIdle(&state)
          return false
        }
        if starts { work() }
        return
      }
    }
  }

  private func run(_ task: InboundTask, on line: WorkLine) async {
    let started = DispatchTime.now().uptimeNanoseconds
    let context = TaskContext(
      cluster: process.cluster, taskName: task.name, owner: task.peer.address,
      taskNumber: task.number, attempt: task.attempt)
    var results: [TaskResult] = []
    var failure: Envelope.RemoteFailure?
    do {
      guard let registration = registry[task.name] else {
        throw IorunError(
          .targetNotFound, "no task named '\(task.name)' is registered in the worker",
          remedy: "Name it in `Cluster.run(tasks:)`, and run the same build everywhere")
      }
      state.withLock { $0.running[task.key] = Running(line: line, context: context) }
      defer { state.withLock { _ = $0.running.removeValue(forKey: task.key) } }
      results = try await TaskContext.$current.withValue(context) {
        try await registration.run(task.arguments, context, process, task)
      }
    } catch {
      failure = process.errors.encode(error)
    }
    answer(task, results, failure, DispatchTime.now().uptimeNanoseconds - started)
  }

  private func answer(
    _ task: InboundTask, _ results: [TaskResult], _ failure: Envelope.RemoteFailure?,
    _ nanoseconds: UInt64
  ) {
    do {
      for result in results {
        switch result {
        case .value(let payload):
          try process.objects.lend(payload.objects, to: task.peer.address)
        case .stored(let object): try process.objects.lend(object.objects, to: task.peer.address)
        }
      }
      try task.peer.send(
        .taskDone, aux: failure == nil ? ReplyKind.value : ReplyKind.failure, number: task.number
      ) { frame in
        frame.append(integer: nanoseconds)
        if let failure {
          failure.write(to: &frame)
          return
        }
        frame.append(integer: UInt16(results.count))
        for result in results {
          let length: Int
          switch result {
          case .value(let payload):
            frame.append(integer: ReplyKind.value)
            length = frame.count
            frame.append(integer: UInt32(0))
            payload.write(to: &frame)
          case .stored(let object):
            frame.append(integer: ReplyKind.stored)
            length = frame.count
            frame.append(integer: UInt32(0))
            object.write(to: &frame)
          }
          let count = UInt32(frame.count - length - 4)
          frame.withUnsafeMutableBytes {
            $0.storeBytes(of: count.littleEndian, toByteOffset: length, as: UInt32.self)
          }
        }
      }
    } catch {
      guard failure == nil else {
        process.logger.debug("a task's owner is gone", metadata: ["error": "\(error)"])
        return
      }
      // The results do not fit: the owner must hear that rather than nothing.
      answer(task, [], process.errors.encode(error), nanoseconds)
    }
  }

  /// Encodes what a task made, one object or as many as were asked for; large ones go to the store.
  func results(of output: some Codable & Sendable, for task: InboundTask) async throws
    -> [TaskResult]
  {
    guard task.resultCount != 1 else { return [try await result(output, task, index: 0)] }
    guard let parts = output as? any ResultList else {
      throw IorunError(
        .specInvalid, "\(task.name) was submitted for \(task.resultCount) results and makes one",
        remedy: "Return an array, or submit it for one result")
    }
    let payloads = try parts.encoded { try Payload($0, in: process) }
    guard payloads.count == task.resultCount else {
      throw IorunError(
        .specInvalid,
        "\(task.name) was submitted for \(task.resultCount) results and returned \(payloads.count)")
    }
    var results: [TaskResult] = []
    for (index, payload) in payloads.enumerated() {
      let id = ObjectID(
        owner: task.peer.address.worker, counter: task.number, index: UInt32(index))
      results.append(try await process.results.store(payload, as: id, owner: task.peer.address))
    }
    return results
  }

  private func result(_ value: some Codable & Sendable, _ task: InboundTask, index: UInt32)
    async throws -> TaskResult
  {
    let id = ObjectID(owner: task.peer.address.worker, counter: task.number, index: index)
    return try await process.results.store(value, as: id, owner: task.peer.address)
  }

  // MARK: Waiting

  /// The present task waits for an object: the next one may run, and if there is none, the node may
  /// lend the task's CPU.
  func blocked() {
    let starts = state.withLock { state in
      state.active -= 1
      state.waiting += 1
      if begin(&state) { return true }
      lendWhereIdle(&state)
      return false
    }
    if starts { work() }
  }

  /// The present task goes on, beside another one that began meanwhile.
  func unblocked() {
    state.withLock { state in
      state.active += 1
      state.waiting -= 1
      if state.saidBlocked {
        state.saidBlocked = false
        process.hub.note(.unblocked, Nothing())
      }
    }
  }

  // MARK: From the owners

  /// Gives tasks back that have not started, the last ones first.
  func steal(_ count: UInt64, by peer: Peer) throws {
    let numbers = state.withLock { state -> [UInt64] in
      var numbers: [UInt64] = []
      var index = state.queue.count - 1
      while index >= state.head, numbers.count < count {
        if state.queue[index].peer === peer {
          numbers.append(state.queue.remove(at: index).number)
        }
        index -= 1
      }
      return numbers.reversed()
    }
    try peer.send(.stolen) { frame in for number in numbers { frame.append(integer: number) } }
  }

  /// The owner gives a task up.
  func cancel(_ key: InboundTask.Key, force: Bool, recursive: Bool) {
    let (waiting, running) = state.withLock { state -> (InboundTask?, Running?) in
      if let index = state.queue[state.head...].firstIndex(where: { $0.key == key }) {
        return (state.queue.remove(at: index), nil)
      }
      return (nil, state.running[key])
    }
    if let waiting {
      answer(waiting, [], process.tasks.cancelled, 0)
    } else if let running {
      if recursive {
        for child in running.context.children.all {
          process.tasks.cancel(child, force: force, recursive: true)
        }
        process.flush()
      }
      if force { process.exit("its task was cancelled by force") }
      running.line.cancel()
    }
  }

  /// The owner of a process's tasks is gone: those that wait are dropped, those that run are asked to
  /// end.
  func lost(_ owner: WorkerID) {
    let running = state.withLock { state in
      state.queue.removeSubrange(..<state.head)
      state.head = 0
      state.queue.removeAll { $0.peer.address.worker == owner }
      for (key, credit) in state.streams where key.owner == owner { credit.give(.max) }
      return state.running.filter { $0.key.owner == owner }.values.map(\.line)
    }
    for line in running { line.cancel() }
  }

  /// The credit of a stream that runs here.
  func credit(for task: InboundTask) -> StreamCredit {
    state.withLock { state in
      let credit = state.streams[task.key] ?? StreamCredit()
      state.streams[task.key] = credit
      return credit
    }
  }

  func credited(_ key: InboundTask.Key, _ count: UInt64) {
    state.withLock { $0.streams[key] }?.give(count)
  }

  func streamEnded(_ key: InboundTask.Key) {
    state.withLock { _ = $0.streams.removeValue(forKey: key) }
  }
}

/// One Swift task that runs tasks after each other, and whether the present one was given up.
final class WorkLine: Sendable {
  private let state = Mutex<(task: Task<Void, Never>?, isCancelled: Bool)>((nil, false))

  var isCancelled: Bool { state.withLock { $0.isCancelled } }

  /// Set once, by whoever made the line.
  var task: Task<Void, Never>? {
    get { state.withLock { $0.task } }
    set {
      let isCancelled = state.withLock { state in
        state.task = newValue
        return state.isCancelled
      }
      if isCancelled { newValue?.cancel() }
    }
  }

  func cancel() {
    let task = state.withLock { state in
      state.isCancelled = true
      return state.task
    }
    task?.cancel()
  }
}

/// What a task returns where it is submitted for several results.
protocol ResultList {
  func encoded(_ encode: (any Encodable) throws -> Payload) rethrows -> [Payload]
}

extension Array: ResultList where Element: Encodable {
  func encoded(_ encode: (any Encodable) throws -> Payload) rethrows -> [Payload] {
    try map { try encode($0) }
  }
}
