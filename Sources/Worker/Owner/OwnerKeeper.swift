internal import Foundation
internal import IorunContract
internal import IorunCore
internal import Logging

/// Does what the machine's owner wants: looks at the owner's file and at the machine, holds new work
/// off, and keeps the status that `iorun worker show` prints.
actor OwnerKeeper {
  /// What it needs of the node. Closures, so that the node's parts stay apart from it.
  struct Node: Sendable {
    /// What the node does now; its owner's part is filled in here.
    var status: @Sendable () async -> WorkerStatus
    /// Tells the head.
    var announce: @Sendable (NodeAvailability) async throws -> Void
    /// Ends what runs there, with the reason that its users hear.
    var endWork: @Sendable (String) async -> Void
    /// Ends what runs on the GPU of that number, with the reason that its users hear.
    var endGPUWork: @Sendable (Int, String) async -> Void = { _, _ in }
  }

  /// How often it looks.
  static let pause = Duration.seconds(2)
  /// An unchanged status is written anew after so many looks, so that its reader knows it is true.
  private static let rewriteLooks = 15

  /// Why no new work is taken now.
  private(set) var hold: OwnerHold?
  private var wishes = OwnerWishes()
  private var isHot = false
  private var endings: Int?
  /// Since when nobody but iorun has used the machine.
  private var quietSince: ContinuousClock.Instant?
  private var heldSince: ContinuousClock.Instant?
  private var hasEnded = false
  /// What the head knows; `nil` until it knows the node.
  private var announced: NodeAvailability?
  private var written: WorkerStatus?
  private var looksSinceWriting = 0
  private let folder: String
  private let gpus: any GPUProvider
  private let gpuMemory: Bytes?
  private let logger: Logger
  private let changed: @Sendable (WorkerStatus) -> Void

  /// Keeps a node whose folder that is. `changed` hears of each status that is written.
  ///
  /// - Parameter gpuMemory: the most of each GPU's memory that jobs may hold; `nil` for all.
  init(
    folder: String, gpus: any GPUProvider = NVML(), gpuMemory: Bytes? = nil, logger: Logger,
    changed: @escaping @Sendable (WorkerStatus) -> Void = { _ in }
  ) {
    self.folder = folder
    self.gpus = gpus
    self.gpuMemory = gpuMemory
    self.logger = logger
    self.changed = changed
  }

  /// What the head is told with a registration.
  var availability: NodeAvailability { NodeAvailability(hold: hold?.reason) }

  /// What the head knows now from a registration.
  func registered(_ availability: NodeAvailability?) { announced = availability ?? .open }

  /// Looks once before the node registers, so that it asks for no work that its owner does not want.
  func begin(_ use: MachineUse) {
    read()
    endings = wishes.endings
    look(use, now: .now)
  }

  /// Keeps the node until its owner wants it to leave and nothing runs there any more, or until the
  /// task is cancelled.
  func run(_ node: Node) async {
    var meter = MachineMeter(gpus: gpus)
    while !Task.isCancelled {
      read()
      // Nobody asks for it without that limit, and it is the dear part.
      let (looked, seesUse) = (meter, wishes.limits.idleMinutes != nil)
      let seesGPUs = seesUse || gpuMemory != nil || wishes.limits.maximumCelsius != nil
      // Only a machine without threads throws here; then nothing is known of this moment.
      if let (use, after) = try? await Blocking.run({
        var meter = looked
        let use = meter.look(seesUse: seesUse, seesGPUs: seesGPUs)
        return (use, meter)
      }) {
        meter = after
        look(use, now: .now)
        await keepGPUMemory(use, node)
      }
      await act(node)
      let status = await publish(node)
      if wishes.isLeaving, status.work.isEmpty {
        logger.notice("nothing runs here any more: this node leaves, as its owner wants")
        return
      }
      guard (try? await Task.sleep(for: Self.pause)) != nil else { return }
    }
  }

  /// Ends what holds more of a GPU than the owner lends: nothing but a MIG slice keeps a process from it.
  func keepGPUMemory(_ use: MachineUse, _ node: Node) async {
    guard let gpuMemory else { return }
    for (index, held) in use.ownGPUMemory.sorted(by: { $0.key < $1.key }) where held > gpuMemory {
      logger.warning("GPU \(index): jobs hold \(held), and the owner lends \(gpuMemory): ended")
      await node.endGPUWork(
        index, "it held \(held) of a GPU of which the machine's owner lends \(gpuMemory)")
    }
  }

  private func read() {
    do {
      wishes = try OwnerWishes.load(from: folder)
    } catch {
      logger.warning("the owner's wishes cannot be read, those from before hold: \(error)")
    }
  }

  /// One look at the machine.
  func look(_ use: MachineUse, now: ContinuousClock.Instant) {
    quietSince = OwnerLimits.isInUse(use) ? nil : (quietSince ?? now)
    hold = wishes.hold(use, sinceUse: quietSince.map { now - $0 }, wasHot: isHot)
    if case .tooHot = hold { isHot = true } else { isHot = false }
    if hold == nil {
      heldSince = nil
      hasEnded = false
    } else if heldSince == nil {
      heldSince = now
    }
  }

  /// Whether what runs is to be ended now.
  private func endsWork(now: ContinuousClock.Instant) -> Bool {
    if let endings, wishes.endings > endings {
      self.endings = wishes.endings
      return true
    }
    guard wishes.limits.endsWork == true, !hasEnded, let heldSince,
      now - heldSince >= .seconds(OwnerLimits.noticeSeconds)
    else { return false }
    switch hold {
    case .outsideHours, .tooHot, .inUse:
      hasEnded = true
      return true
    case .paused, .leaving, nil: return false
    }
  }

  private func act(_ node: Node) async {
    let availability = availability
    if let announced, announced != availability {
      do {
        try await node.announce(availability)
        self.announced = availability
        logger.notice(
          "\(availability.hold.map { "no new work is taken: \($0)" } ?? "work is taken again")")
      } catch {
        // The next look tries again, or the next registration tells it.
        logger.info("the head did not hear what the owner wants: \(error)")
      }
    }
    if endsWork(now: .now) {
      await node.endWork("the machine's owner wants it back")
    }
  }

  private func publish(_ node: Node) async -> WorkerStatus {
    var status = await node.status()
    status.hold = hold?.reason
    looksSinceWriting += 1
    guard !status.isSame(as: written) || looksSinceWriting >= Self.rewriteLooks else {
      return status
    }
    let (text, folder) = (status, folder)
    do {
      try await Blocking.run { try text.save(to: folder) }
      written = status
      looksSinceWriting = 0
    } catch {
      logger.info("the status for the owner was not written: \(error)")
    }
    changed(status)
    return status
  }
}
