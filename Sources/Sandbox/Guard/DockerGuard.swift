internal import Foundation
internal import IorunCore
internal import Synchronization

/// Hears from a Docker daemon of each container as it is made, and removes those that the policy does not
/// allow before they start: between the two lies a quarter of a second. What it misses, because the daemon
/// or this process began later, ``ContainerGuard`` finds by its processes.
public final class DockerGuard: Sendable {
  private let engine: DockerEngine
  private let policy: GuardPolicy
  private let groupName: String
  private let report: @Sendable (GuardIncident) -> Void
  private let listens = Atomic(false)
  private let end = GuardEnd()
  private let origin = ContinuousClock.now

  /// A daemon that is not there is looked for so often.
  private static let pause = Duration.seconds(5)
  private static let turn = Duration.milliseconds(100)
  /// A container that was made has no process.
  static let noProcess: Int32 = -1

  /// Begins to listen, on a thread of its own.
  ///
  /// - Parameters:
  ///   - socket: the daemon's.
  ///   - groupName: what the agent's own containers are labelled with.
  ///   - report: called on that thread for everything that is not ignored; must not block. The image
  ///     stands for the program.
  public init(
    socket: String, _ policy: GuardPolicy, groupName: String,
    report: @escaping @Sendable (GuardIncident) -> Void
  ) {
    engine = DockerEngine(socket: socket)
    self.policy = policy
    self.groupName = groupName
    self.report = report
    let thread = Thread { [self] in watch() }
    thread.name = "iorun-docker"
    thread.start()
  }

  /// Whether a daemon tells it of containers now.
  public var isListening: Bool { listens.load(ordering: .relaxed) }

  /// Ends it. Returns once its thread is done.
  public func stop() async { await end.wait() }

  private func watch() {
    var ledger = GuardLedger(policy, untouchable: [])
    while !end.isWanted {
      listen(&ledger)
      listens.store(false, ordering: .relaxed)
      let next = ContinuousClock.now + Self.pause
      while !end.isWanted, ContinuousClock.now < next {
        usleep(UInt32(Self.turn / .microseconds(1)))
      }
    }
    end.reached()
  }

  /// Returns when the daemon has gone, or this is to stop.
  private func listen(_ ledger: inout GuardLedger) {
    guard access(engine.socket, F_OK) == 0, var events = try? DockerEvents(engine) else { return }
    listens.store(true, ordering: .relaxed)
    while !end.isWanted {
      guard let made = try? events.next(within: Self.turn) else { return }
      for container in made { look(container, &ledger) }
    }
  }

  private func look(_ container: DockerEvents.Container, _ ledger: inout GuardLedger) {
    guard container.group != groupName else { return }
    let facts = ProcessFacts(
      pid: Self.noProcess, parent: Self.noProcess, program: container.image,
      groups: "/docker/\(container.id)")
    var decision = ledger.decide(facts, .container, now: ContinuousClock.now - origin)
    guard decision != .ignore else { return }
    if decision == .stop {
      do {
        try engine.request(
          "DELETE", "/containers/\(container.id)?force=1&v=1", accepted: [404])
      } catch {
        decision = .report(reason: "it could not be removed: \(error)")
      }
    }
    report(GuardIncident(facts: facts, kind: .container, decision: decision, wasEvent: true))
  }
}
