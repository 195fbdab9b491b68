internal import Foundation
internal import IorunCore
internal import IorunPoW
internal import Synchronization

/// Where a GPU's proofs are computed: in a process of its own, or in tests anywhere.
protocol GPUBackend: Sendable {
  /// Does one thing. Throws what it throws, `gpuFault` where the backend ended.
  func perform(_ work: GPUProcess.Work) async throws -> GPUProcess.Outcome
  /// Stands still, or goes on.
  func hold(_ isHeld: Bool)
  /// Ends, and whatever it was doing: nothing is left on the GPU. Does not wait.
  func end()
}

/// The program itself as that process.
final class GPUChild: GPUBackend {
  private struct State {
    var number = 0
    var waiting: [Int: CheckedContinuation<GPUProcess.Outcome, any Error>] = [:]
    var hasEnded = false
  }

  /// Safe to send: only its id and whether it runs are asked, under its own lock.
  private struct Child: @unchecked Sendable { let process: Process }

  private let child: Child
  private let input: FileHandle
  private let state = Mutex(State())

  /// Starts it. Throws `spawnFailed`.
  init(program: String, uuid: String) throws {
    let (process, orders, answers) = (Process(), Pipe(), Pipe())
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = [GPUProcess.argument, uuid]
    process.standardInput = orders
    process.standardOutput = answers
    do {
      try process.run()
    } catch {
      throw IorunError(.spawnFailed, "cannot run \(program)", cause: error)
    }
    child = Child(process: process)
    input = orders.fileHandleForWriting
    let output = answers.fileHandleForReading
    Thread.detachNewThread { [weak self] in
      var lines = LineBuffer(limit: GPUProcess.mostLineBytes)
      // `read(upToCount:)` would wait for all of that.
      while case let data = output.availableData, !data.isEmpty {
        guard let complete = lines.take(data) else { break }
        for line in complete {
          guard let reply = try? JSONDecoder().decode(GPUProcess.Reply.self, from: line) else {
            continue
          }
          self?.answered(reply)
        }
      }
      self?.ended()
    }
  }

  deinit { if child.process.isRunning { kill(child.process.processIdentifier, SIGKILL) } }

  func perform(_ work: GPUProcess.Work) async throws -> GPUProcess.Outcome {
    let outcome = try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<GPUProcess.Outcome, any Error>) in
      let number = state.withLock { state -> Int? in
        guard !state.hasEnded else { return nil }
        state.number += 1
        state.waiting[state.number] = continuation
        return state.number
      }
      guard let number else {
        continuation.resume(throwing: Self.hasEnded)
        return
      }
      do {
        var line = try JSONEncoder().encode(GPUProcess.Order(number: number, work: work))
        line.append(UInt8(ascii: "\n"))
        // A few hundred bytes into a pipe that its reader empties at once.
        try input.write(contentsOf: line)
      } catch {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(throwing: error)
      }
    }
    if case .failed(let error) = outcome { throw error }
    return outcome
  }

  func hold(_ isHeld: Bool) { signal(isHeld ? SIGSTOP : SIGCONT) }

  func end() {
    signal(SIGKILL)
    ended()
  }

  private func signal(_ number: Int32) {
    if child.process.isRunning { kill(child.process.processIdentifier, number) }
  }

  private func answered(_ reply: GPUProcess.Reply) {
    state.withLock { $0.waiting.removeValue(forKey: reply.number) }?.resume(
      returning: reply.outcome)
  }

  private func ended() {
    let waiting = state.withLock { state in
      state.hasEnded = true
      defer { state.waiting = [:] }
      return state.waiting
    }
    for continuation in waiting.values { continuation.resume(throwing: Self.hasEnded) }
  }

  private static let hasEnded = IorunError(
    .gpuFault, "the process that computes on the GPU has ended",
    remedy: "See the node's log; where it repeats leave the GPU out")
}

/// Bytes that come as they like, as lines.
struct LineBuffer {
  private var rest = Data()
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// The lines that are complete by now, without their ends; `nil` once one is longer than the limit.
  mutating func take(_ data: Data) -> [Data]? {
    rest.append(data)
    var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    rest = lines.popLast().map { Data($0) } ?? Data()
    return rest.count <= limit ? lines.map { Data($0) } : nil
  }
}
