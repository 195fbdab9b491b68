internal import IorunPoW
internal import Synchronization

/// The idle machine, taken once for several devices that prove something in it at the same instant, and given
/// back when the last of them leaves.
final class SharedMachine: Sendable {
  private struct State {
    /// Whoever takes it, or has it; `nil` while nobody does.
    var taking: Task<Bool, Never>?
    var users: [DeviceID: @Sendable () -> Void] = [:]
  }

  private let machine: IdleMachine
  private let state = Mutex(State())
  /// What the devices' own threads and trees take of the machine's memory: small change.
  private static let memory: Int64 = 1 << 30

  init(_ machine: IdleMachine) { self.machine = machine }

  /// Joins those that have the machine, or takes it. False where jobs have it. `wanted` is called at most
  /// once, on any thread, when a job wants the machine, and must not wait.
  func take(_ device: DeviceID, _ wanted: @escaping @Sendable () -> Void) async -> Bool {
    let task = state.withLock { state in
      if let taking = state.taking { return taking }
      let task = Task { await machine.take(Self.memory) { self.want() } }
      state.taking = task
      return task
    }
    let isTaken = await task.value
    return state.withLock { state in
      // A job may have come meanwhile.
      guard state.taking == task else { return false }
      if isTaken { state.users[device] = wanted } else { state.taking = nil }
      return isTaken
    }
  }

  /// A device leaves. Any number of times.
  func giveBack(_ device: DeviceID) {
    let isLast = state.withLock { state in
      guard state.users.removeValue(forKey: device) != nil, state.users.isEmpty else {
        return false
      }
      state.taking = nil
      return true
    }
    if isLast { machine.giveBack() }
  }

  private func want() {
    let users = state.withLock { state in
      defer { state = State() }
      return state.users
    }
    for wanted in users.values { wanted() }
  }
}
