import Foundation
import Glibc
import IorunContract
import IorunCore
import IorunSandbox
import IorunTunnel
import IorunWire
import Logging
import Synchronization

/// Keeps the processes of runtime jobs apart from a node's machine. All processes of a job there have one
/// user of the job's own, one working folder on encrypted scratch and one network in which nobody else
/// is; each tree of them, a zygote with the workers that it forks or a worker program, is a sandbox, with
/// its own process ids and its own changes to the root.
///
/// They reach the hub's socket and each other's through folders that are shown inside, and the job's
/// arena by a descriptor: calls and objects go as between ordinary processes, copied no more often.
final class SealedJobs: Sendable {
  /// Where processes find their job's arena: the descriptor after their supervisor's.
  static let arena = "/proc/self/fd/5"
  /// Where they find the folder of their sockets.
  static let directory = "/iorun/job"
  /// Where they find the hub.
  static let hub = "/iorun/hub.sock"
  /// Where a worker program is.
  static let program = "/iorun/job-program"
  /// Where the working folder from a driver's node is.
  static let folder = "/iorun/folder"

  /// What all trees of a job share.
  private struct Space: Sendable {
    var scratch: ScratchMount
    var network: NetworkNamespace
  }

  private struct Held {
    var block: UInt32
    var opening: Task<Space, any Error>
    /// The rank that is the job's driver.
    var seat: RankSeat?
    /// Trees that live.
    var trees = 0
    /// Trees that there ever were: they have names.
    var started = 0
    /// What to do once no tree is left; `nil` as long as the job goes on.
    var after: (@Sendable () -> Void)?
  }

  private struct State {
    var held: [JobID: Held] = [:]
    /// How many jobs have a user: those that one rank begins, one after the other, share its own.
    var users: [UInt32: Int] = [:]
    var seats: [LeaseID: RankSeat] = [:]
    /// Jobs whose scratch is being closed.
    var closing: [JobID: Int] = [:]
  }

  private let machine: SealedRanks
  private let node: NodeID
  private let arenaBytes: Int64
  private let logger: Logger
  private let state = Mutex(State())

  /// Sandboxes like those of `machine`'s ranks; `arenaBytes` is how much each job may have of objects.
  init(beside machine: SealedRanks, node: NodeID, arenaBytes: Int64, logger: Logger) {
    self.machine = machine
    self.node = node
    self.arenaBytes = arenaBytes
    self.logger = logger
  }

  /// Where objects of jobs in sandboxes go that do not fit into memory.
  var spill: String { machine.vault.spill }
  /// Where their processes' logs are.
  var logs: String { machine.vault.logs }

  /// True for a user of a job's processes here.
  func isUser(_ user: UInt32) -> Bool {
    state.withLock { $0.users[user] != nil || $0.seats.values.contains { $0.user == user } }
  }

  /// The rank whose user that is.
  func seat(of user: UInt32) -> RankSeat? {
    state.withLock { $0.seats.values.first { $0.user == user } }
  }

  /// Makes a rank that is to start a possible driver: it inherits `RankSeat.arena`, and is shown the
  /// hub's socket and the folder of its own. Blocks shortly.
  ///
  /// - Throws: `wrongState` for a lease that is not open; `fileSystem`.
  func seat(_ lease: LeaseID, in seal: inout RankSeal) throws -> RankSeat {
    let place = try machine.place(of: lease)
    let name = "\(lease.job.description.dropFirst(4))-\(lease.rank)"
    let seat = try RankSeat(
      block: place.block, user: SealedRanks.user(place.block),
      directory: "\(HubSocket.folder(of: node))/\(name)", work: place.work,
      arenaBytes: arenaBytes)
    seal.spec.binds += [
      .init(seat.directory, at: Self.directory, isWritable: true),
      .init(HubSocket.path(of: node), at: Self.hub, isWritable: true),
    ]
    state.withLock { $0.seats[lease] = seat }
    return seat
  }

  /// A rank is over. Any number of times.
  func leave(_ lease: LeaseID) { state.withLock { $0.seats.removeValue(forKey: lease) }?.close() }

  /// A job begins on this node. Its scratch is opened meanwhile.
  ///
  /// - Parameter seat: the rank that is its driver: its processes here are the same user's.
  /// - Returns: the user of its processes, on this machine.
  /// - Throws: `overloaded` where too many sandboxes are open, or the job's last ones are still being
  ///   closed; as `RankSeat.take`.
  func begin(_ job: JobID, in seat: RankSeat? = nil) throws -> UInt32 {
    guard state.withLock({ $0.held[job] == nil && $0.closing[job] == nil }) else {
      throw IorunError(.overloaded, "what job \(job) had on this node is still being closed")
    }
    try seat?.take(job)
    let block = try seat?.block ?? machine.takeBlock()
    if seat != nil { machine.share(block) }
    let user = SealedRanks.user(block)
    let machine = machine
    let opening = Task { try await Blocking.run { try Self.open(job, machine, user) } }
    state.withLock { state in
      state.held[job] = Held(block: block, opening: opening, seat: seat)
      state.users[user, default: 0] += 1
    }
    return user
  }

  private static func open(_ job: JobID, _ machine: SealedRanks, _ user: UInt32) throws -> Space {
    let scratch = try machine.scratch.open("\(job)-runtime", size: SealedRanks.defaultDisk)
    do {
      let folder = scratch.path + RankSeal.folder
      guard mkdir(folder, 0o755) == 0, lchown(folder, user, user) == 0 else {
        throw IorunError.system("cannot make", folder, errno: errno)
      }
      return Space(
        scratch: scratch, network: try LoneNetwork.make(address: machine.facts.address))
    } catch {
      try? scratch.close()
      throw error
    }
  }

  /// A tree of a job is to be started; `left` must be called once it is gone, or was not started.
  ///
  /// - Parameters:
  ///   - hub: the hub's socket on this machine.
  ///   - directory: the folder of the job's sockets on this machine.
  /// - Throws: `cancelled` for a job that is over; what opening scratch and fetching files throws.
  func enter(
    _ record: RuntimeJob, at place: RuntimeLauncher.Place, files: RuntimeFiles, arena: ArenaFile,
    hub: String, directory: String
  ) async throws -> SealedTree {
    let job = record.job
    let (opening, block, number) = try state.withLock { state in
      guard var held = state.held[job], held.after == nil else {
        throw IorunError(.cancelled, "job \(job) is over")
      }
      held.trees += 1
      held.started += 1
      state.held[job] = held
      return (held.opening, held.block, held.started)
    }
    do {
      let space = try await opening.value
      let user = SealedRanks.user(block)
      let name = "\(job)-w\(number)"
      let scratch = "\(space.scratch.path)/\(number)"
      try await Blocking.run {
        guard mkdir(scratch, 0o755) == 0 else {
          throw IorunError.system("cannot make", scratch, errno: errno)
        }
      }
      var spec = try machine.spec(
        name, network: space.network, block: block, scratch: scratch, wanted: ResourceSet(),
        gpus: Array(machine.facts.gpus.indices))
      spec.binds += [
        // Over the tree's own: the trees of a job work in one folder.
        .init(space.scratch.path + RankSeal.folder, at: RankSeal.folder, isWritable: true),
        .init(directory, at: Self.directory, isWritable: true),
        .init(hub, at: Self.hub, isWritable: true),
      ]
      var tree = SealedTree(
        seal: RankSeal(driver: machine.driver, spec: spec), shown: machine.programs, arena: arena)
      if record.launcher.kind == .program {
        // Never a file of this machine that the driver only names.
        tree.seal.spec.binds.append(.init(try await files.program(of: record), at: Self.program))
        tree.program = Self.program
        let copy = try await files.workingFolder(
          of: record, place, below: space.scratch.path, owner: user)
        if let copy {
          tree.seal.spec.binds.append(.init(copy, at: Self.folder, isWritable: true))
          tree.folder = Self.folder
        }
      }
      return tree
    } catch {
      left(job)
      throw error
    }
  }

  /// A tree of a job is gone.
  func left(_ job: JobID) {
    let isLast = state.withLock { state in
      state.held[job]?.trees -= 1
      return state.held[job].map { $0.trees == 0 && $0.after != nil } ?? false
    }
    if isLast { close(job) }
  }

  /// A job is over on this node: once its last tree is gone `after` is called, and its scratch goes.
  func finish(_ job: JobID, then after: @escaping @Sendable () -> Void = {}) {
    let isEmpty = state.withLock { state in
      guard state.held[job] != nil, state.held[job]?.after == nil else { return false }
      state.held[job]?.after = after
      return state.held[job]?.trees == 0
    }
    if isEmpty { close(job) }
  }

  private func close(_ job: JobID) {
    let held = state.withLock { state in
      guard let held = state.held.removeValue(forKey: job) else { return nil as Held? }
      state.closing[job, default: 0] += 1
      return held
    }
    guard let held else { return }
    Task {
      // A rank's next runtime job waits for this, and not for scratch.
      try? await Blocking.run { held.after?() }
      do {
        if let space = try? await held.opening.value {
          try await Blocking.run { try space.scratch.close() }
        }
      } catch {
        logger.error("the scratch of job \(job) is left: \(error)")
      }
      machine.giveBack(held.block)
      state.withLock { state in
        let user = SealedRanks.user(held.block)
        let left = (state.users[user] ?? 1) - 1
        state.users[user] = left > 0 ? left : nil
        let closing = (state.closing[job] ?? 1) - 1
        state.closing[job] = closing > 0 ? closing : nil
      }
    }
  }

  /// Ends with the node: waits until no scratch is left, but not for long. The jobs' processes are being
  /// killed.
  func shutDown() async {
    for job in state.withLock({ Array($0.held.keys) }) { finish(job) }
    // In a task of its own, because whoever stops a node may be cancelled.
    await Task {
      let deadline = ContinuousClock.now + .seconds(5)
      while !isEmpty, ContinuousClock.now < deadline {
        try? await Task.sleep(for: .milliseconds(10))
      }
    }.value
  }

  private var isEmpty: Bool { state.withLock { $0.held.isEmpty && $0.closing.isEmpty } }
}
