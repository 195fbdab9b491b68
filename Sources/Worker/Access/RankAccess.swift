import Foundation
import IorunContract
import IorunCore
import IorunRuntime
import Logging

/// Lets people reach into this node's ranks: those whom the head vouches for, and only while the rank
/// runs. What they start beside a rank ends with it.
///
/// Each stream is a visit: a task that ends by itself, with its stream, or with the rank.
actor RankAccess: RankService, RankGuests {
  /// Visits of one process at once.
  static let mostVisitsOfClient = 512
  /// Commands beside one rank at once.
  static let mostCommands = 64
  /// Processes of clients with a pass for one rank.
  static let mostPasses = 256

  private struct Pass {
    var principal: PeerID
    var endsAt: ContinuousClock.Instant
  }

  private struct Visit {
    var client: PeerID
    var isCommand: Bool
    var stream: MeshStream
    var task: Task<Void, Never>
  }

  private let agent: NodeAgentCore
  private let port: StreamPort
  private let logger: Logger
  private var passes: [LeaseID: [PeerID: Pass]] = [:]
  private var visits: [LeaseID: [UInt64: Visit]] = [:]
  /// What is being opened, so that bounds hold for that, too.
  private var opening: [PeerID: Int] = [:]

  init(agent: NodeAgentCore, port: StreamPort, logger: Logger) {
    self.agent = agent
    self.port = port
    self.logger = logger
  }

  // MARK: RankGuests

  func admit(_ pass: ClientPass) {
    let now = ContinuousClock.now
    var present = passes[pass.lease, default: [:]].filter { $0.value.endsAt > now }
    guard present[pass.client] != nil || present.count < Self.mostPasses else { return }
    let lifetime = min(max(1, pass.lifetimeSeconds), 600)
    present[pass.client] = Pass(principal: pass.principal, endsAt: now + .seconds(lifetime))
    passes[pass.lease] = present
  }

  func rankEnded(_ lease: LeaseID, _ cause: ExitCause) async {
    passes[lease] = nil
    let ended = Self.ended(lease, cause)
    let present = visits.removeValue(forKey: lease) ?? [:]
    for visit in present.values {
      visit.stream.reset(ended)
      visit.task.cancel()
    }
    for visit in present.values { await visit.task.value }
  }

  // MARK: RankService

  func open(_ request: StreamRequest, caller: PeerID) async throws -> UInt64 {
    let lease = request.lease
    let client = request.client
    guard let pass = pass(of: client, for: lease), caller == client || caller == pass.principal
    else {
      throw IorunError(
        .notAllowed, "the head has not let this client reach rank \(lease.rank) of \(lease.job)",
        remedy: "Only a job's owner may; try again if the rank has just started")
    }
    let isCommand = if case .execute = request.purpose { true } else { false }
    let ofClient = visits.values.lazy.flatMap(\.values).count { $0.client == client }
    let commands = visits[lease]?.values.count(where: \.isCommand) ?? 0
    guard ofClient + opening[client, default: 0] < Self.mostVisitsOfClient,
      !isCommand || commands < Self.mostCommands
    else {
      throw IorunError(
        .overloaded, "too many connections or commands reach into the rank",
        remedy: "Close some and try again")
    }
    opening[client, default: 0] += 1
    defer {
      opening[client, default: 1] -= 1
      if opening[client] == 0 { opening[client] = nil }
    }
    guard let view = await agent.view(of: lease) else { throw Self.ended(lease, nil) }
    let work = try await prepare(request.purpose, view)
    let (kind, window) = StreamWindows.window(for: request.purpose)
    do {
      // The rank may have ended meanwhile, and would not hear of a visit that begins now.
      guard passes[lease]?[client] != nil else { throw Self.ended(lease, nil) }
      let stream = try port.makeStream(
        request.stream, with: client, principal: pass.principal, kind: kind,
        sendLimit: request.window, window: window)
      let task = Task {
        await work.run(stream)
        self.forget(request.stream, of: lease)
      }
      visits[lease, default: [:]][request.stream] = Visit(
        client: client, isCommand: isCommand, stream: stream, task: task)
      return window
    } catch {
      await work.abandon()
      throw error
    }
  }

  private func pass(of client: PeerID, for lease: LeaseID) -> Pass? {
    passes[lease]?[client].flatMap { $0.endsAt > .now ? $0 : nil }
  }

  private func prepare(_ purpose: StreamRequest.Purpose, _ view: RankView) async throws -> RankVisit
  {
    switch purpose {
    case .connect(let port): try await .connection(to: port, view)
    case .execute(let execution): try await .command(execution, view)
    case .copyIn(let path): .copyIn(path, view)
    case .copyOut(let path): .copyOut(path, view)
    }
  }

  private func forget(_ stream: UInt64, of lease: LeaseID) {
    visits[lease]?[stream] = nil
    if visits[lease]?.isEmpty == true { visits[lease] = nil }
  }

  static func ended(_ lease: LeaseID, _ cause: ExitCause?) -> IorunError {
    let how = cause.map { ": \($0)" } ?? ""
    return IorunError(
      .rankEnded, "rank \(lease.rank) of \(lease.job) has ended\(how)",
      remedy: "Look at it with `iorun status \(lease.job)`")
  }
}

/// What one stream to a rank is for, ready to run.
struct RankVisit: Sendable {
  /// Runs to the end; tells the stream what goes wrong.
  let run: @Sendable (MeshStream) async -> Void
  /// Gives up what was prepared, where there will be no stream.
  var abandon: @Sendable () async -> Void = {}
}
