import Foundation
import IorunContract
import IorunCore
import IorunPoW
import IorunSandbox
import Logging

/// Keeps the GPUs that a node lends to strangers apart: a rank gets one only where no other process
/// computes on it, and once its memory was overwritten since its last user. Overwriting begins when a rank
/// has ended, so that the next one seldom waits for it.
actor GPUKeeper {
  /// What is asked of a machine's GPUs, each named by its UUID.
  struct Machine: Sendable {
    /// How many processes compute on it; `nil` where nobody can say.
    var processes: @Sendable (String) -> Int?
    /// Overwrites its memory.
    ///
    /// - Throws: `gpuBusy` where a process has it; `gpuMissing`, `gpuFault` where it cannot be done.
    var scrub: @Sendable (String) async throws -> Void
  }

  private enum Condition {
    /// Nobody has used it since it was overwritten.
    case clean
    /// It has been lent, or nobody knows.
    case used
    case scrubbing(Task<Void, any Error>)
  }

  private let machine: Machine
  private let clock: any Clock<Duration>
  private let logger: Logger
  private var conditions: [String: Condition] = [:]
  private var holders: [String: LeaseID] = [:]

  /// Processes that have just ended are still counted for a moment.
  private static let pauses: [Duration] = [
    .milliseconds(200), .seconds(1), .seconds(3), .seconds(6),
  ]

  init(_ machine: Machine, clock: any Clock<Duration> = ContinuousClock(), logger: Logger) {
    self.machine = machine
    self.clock = clock
    self.logger = logger
  }

  /// Makes GPUs ready for a lease: waits until they are overwritten.
  ///
  /// - Throws: `gpuBusy` where a process of somebody else computes on one; `gpuFault` where one could
  ///   not be overwritten, or nobody can say who computes on it.
  func prepare(_ devices: [String], for lease: LeaseID) async throws {
    for device in devices { holders[device] = lease }
    for device in devices {
      do {
        try await scrubbed(device)
      } catch let error as IorunError where error.code == .gpuBusy {
        throw error
      } catch {
        throw IorunError(
          .gpuFault, "the memory of GPU \(device) cannot be cleared between jobs",
          remedy: "Install the NVIDIA driver with libcuda.so.1, or offer the node without its GPUs",
          cause: error)
      }
      guard let processes = machine.processes(device) else {
        throw IorunError(
          .gpuFault, "nobody can say which processes compute on GPU \(device)",
          remedy: "Install the driver's libnvidia-ml.so.1, or offer the node without its GPUs")
      }
      if processes > 0 {
        throw IorunError(
          .gpuBusy, "\(processes) processes that are no job's compute on GPU \(device)",
          remedy: "End them, or leave the GPU out of what the node offers")
      }
    }
    for device in devices where holders[device] == lease { conditions[device] = .used }
  }

  /// A lease's processes are gone: its GPUs are overwritten. Any number of times.
  func release(_ lease: LeaseID) {
    for (device, holder) in holders where holder == lease {
      holders[device] = nil
      begin(device)
    }
  }

  private func scrubbed(_ device: String) async throws {
    if case .clean = conditions[device] { return }
    try await begin(device).value
  }

  @discardableResult
  private func begin(_ device: String) -> Task<Void, any Error> {
    if case .scrubbing(let task) = conditions[device] { return task }
    let task = Task { try await self.scrub(device) }
    conditions[device] = .scrubbing(task)
    return task
  }

  private func scrub(_ device: String) async throws {
    var pauses = Self.pauses[...]
    while true {
      do {
        try await machine.scrub(device)
        conditions[device] = .clean
        return
      } catch let error as IorunError where error.code == .gpuBusy && !pauses.isEmpty {
        try? await clock.sleep(for: pauses.removeFirst())
      } catch {
        conditions[device] = .used
        logger.warning(
          "a GPU's memory was not cleared", metadata: ["gpu": "\(device)", "error": "\(error)"])
        throw error
      }
    }
  }
}

extension GPUKeeper.Machine {
  /// The machine's own GPUs: NVML counts processes, and `program`, this one, overwrites memory in a
  /// process of its own.
  static func own(program: String) -> Self {
    Self(
      processes: { try? GPUCondition(of: $0).processes },
      scrub: { device in try await Blocking.run { try run(program, device) } })
  }

  /// A terabyte at 10 GB/s.
  private static let patience = Duration.seconds(100)

  private static func run(_ program: String, _ device: String) throws {
    let end = try HelperProgram.ask(
      program, [GPUScrub.argument, device], environment: RankProcess.supervisorEnvironment,
      limit: 4 << 10, within: patience)
    guard end.status != 0 else { return }
    throw IorunError(
      end.status == EX_TEMPFAIL ? .gpuBusy : .gpuFault,
      end.errors.isEmpty ? "overwriting ended with \(end.status)" : end.errors)
  }
}
