import Foundation
import IorunCore
import IorunSandbox
import Logging
import Synchronization

/// The guard of a node's machine: watches as its owner wants, and keeps what it saw for the log and
/// for `iorun worker show`.
final class NodeGuard: Sendable {
  /// How many incidents the status keeps, the latest ones.
  static let kept = 20
  /// The most lines that it writes to the log in a minute: a container may start a thousand processes.
  static let linesPerMinute = 60

  private struct State {
    var watch: ContainerGuard?
    var docker: DockerGuard?
    var record = WorkerStatus.GuardRecord(mode: "off", isDryRun: false)
    var lines: [Duration] = []
  }

  private let settings: GuardSettings
  private let groupName: String
  private let devices: @Sendable () -> Set<String>
  private let gpus: any GPUProvider
  private let logger: Logger
  private let origin = ContinuousClock.now
  private let state = Mutex(State())

  /// Makes a guard; `nil` where none is wanted.
  ///
  /// - Parameters:
  ///   - groupName: the control group of the node's own sandboxes.
  ///   - devices: the paths of the devices that are leased now.
  ///   - gpus: who computes on them is asked there.
  /// - Throws: `notAllowed` without root, who alone may stop others' processes.
  init?(
    _ settings: GuardSettings, groupName: String, devices: @escaping @Sendable () -> Set<String>,
    gpus: any GPUProvider, logger: Logger
  ) throws {
    guard settings.mode != .off else { return nil }
    guard geteuid() == 0 else {
      throw IorunError(
        .notAllowed, "the guard needs root: it looks at every process and may stop some",
        remedy: "Run the node as root, or join with --guard off")
    }
    self.settings = settings
    self.groupName = groupName
    self.devices = devices
    self.gpus = gpus
    self.logger = logger
    state.withLock {
      $0.record = .init(mode: settings.mode.rawValue, isDryRun: settings.isDryRun)
    }
  }

  /// Begins to watch.
  func start() {
    let policy = GuardPolicy(
      mode: settings.mode == .exclusive ? .exclusive : .shared, isDryRun: settings.isDryRun,
      allowedGroups: settings.allowedGroups, allowedPrograms: settings.allowedPrograms)
    let watch = ContainerGuard(
      policy, scope: settings.group.map { .group($0) } ?? .machine, groupName: groupName,
      // What this process itself made: a path alone could be anybody's.
      leases: { [groupName] in ControlGroup.ownNames(parent: groupName) }, devices: devices,
      deviceUsers: { [gpus] in Self.users(of: gpus.states()) },
      report: { self.take($0) })
    // Its containers are not of one control group.
    let docker =
      settings.group == nil
      ? DockerGuard(
        socket: SandboxChoice.dockerSocket, policy, groupName: groupName, report: { self.take($0) })
      : nil
    logger.notice(
      "the guard watches this machine, mode \(settings.mode.rawValue)",
      metadata: ["dry_run": "\(settings.isDryRun)", "kernel_events": "\(watch.hasEvents)"])
    state.withLock { state in
      state.record.hasKernelEvents = watch.hasEvents
      state.watch = watch
      state.docker = docker
    }
  }

  /// The devices that each process computes on; of a GPU whose file is not known nobody can say whose lease
  /// it is in.
  static func users(of states: [GPUState]) -> [Int32: Set<String>] {
    states.reduce(into: [:]) { users, state in
      guard let path = state.path else { return }
      for use in state.processes { users[use.pid, default: []].insert(path) }
    }
  }

  /// Ends it.
  func stop() async {
    let (watch, docker) = state.withLock { ($0.watch, $0.docker) }
    await docker?.stop()
    await watch?.stop()
  }

  /// What it saw.
  var record: WorkerStatus.GuardRecord { state.withLock { $0.record } }

  /// One more incident.
  func take(_ incident: GuardIncident, at now: Date = Date()) {
    let (isStop, reason) =
      switch incident.decision {
      case .ignore: (false, "")
      case .report(let reason): (false, reason)
      case .stop: (true, "a container that is not the network's")
      }
    let facts = incident.facts
    let passed = ContinuousClock.now - origin
    let isLogged = state.withLock { state in
      if isStop { state.record.stopped += 1 } else { state.record.reported += 1 }
      state.record.incidents.append(
        WorkerStatus.GuardRecord.Incident(
          at: now.timeIntervalSince1970, processID: facts.pid, program: facts.program,
          kind: incident.kind.rawValue, isStopped: isStop, reason: reason,
          argumentsHash: facts.argumentsHash,
          groups: String(facts.groups.prefix(1000)), namespaces: facts.namespaces,
          devices: facts.devices.sorted()))
      state.record.incidents = state.record.incidents.suffix(Self.kept)
      state.lines.removeAll { passed - $0 > .seconds(60) }
      guard state.lines.count < Self.linesPerMinute else { return false }
      state.lines.append(passed)
      return true
    }
    guard isLogged else { return }
    logger.warning(
      "the guard \(isStop ? "stopped" : "saw") a process: \(reason)",
      metadata: [
        "pid": "\(facts.pid)", "parent": "\(facts.parent)", "program": "\(facts.program)",
        "kind": "\(incident.kind.rawValue)", "arguments_sha256": "\(facts.argumentsHash)",
        "namespaces": "\(facts.namespaces.sorted { $0.key < $1.key }.map(\.value))",
        "devices": "\(facts.devices.sorted())",
      ])
  }
}
