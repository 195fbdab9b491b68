public import IorunContract
import IorunCore
import Logging

/// A node that its head does not hear stops its ranks by itself, so that the head may run them
/// elsewhere. As with any lease (Gray, Cheriton: Leases, SOSP 1989) the node counts from when it *sent*
/// the word that was answered, the head from when it *heard* it, which is later: whatever the way
/// between them does, the node's time is over first.
extension NodeAgentCore {
  /// How long the ranks of a job that has a fence of its own get between `SIGTERM` and `SIGKILL` when
  /// it passes. The head's `ownFenceMargin` holds it.
  static let ownFenceGrace = Duration.seconds(1)

  /// Does what the head answered to a registration or heartbeat, which was sent `age` ago: stops and
  /// forgets the leases it does not want, and counts its silence anew. Returns at once.
  public func apply(orders: NodeOrders, age: Duration = .zero) {
    fenceAfter = .milliseconds(max(1, orders.fenceMilliseconds))
    mark = orders.mark
    sinceRenewal = Self.stopwatch(clock, from: age)
    watchSilence()
    for lease in orders.stop where held[lease] != nil {
      Task { await self.remove(lease, cause: .cancelled) }
    }
  }

  /// How often the leases at hand ask for a renewal; `nil` where the head's pace is enough. Several
  /// heartbeats must fit into the shortest fence.
  public var renewEvery: Duration? {
    held.values.compactMap { $0.grant.spec.fenceSeconds }.min().map { .seconds($0) / 6 }
  }

  /// Waits for the next fence of a lease at hand, and for the one after it. To be called again where a
  /// lease comes.
  func watchSilence() {
    silence?.cancel()
    guard let sinceRenewal else { return }
    silence = Task { [clock] in
      var passed = Duration.zero
      while let next = self.nextFence(after: passed) {
        let wait = next - sinceRenewal()
        if wait > .zero {
          guard (try? await clock.sleep(for: wait)) != nil else { return }
        }
        guard !Task.isCancelled else { return }
        passed = next
        self.fence(at: next)
      }
    }
  }

  private func nextFence(after passed: Duration) -> Duration? {
    var fences = held.values.compactMap { fence(of: $0) }
    if let fenceAfter { fences.append(fenceAfter) }
    return fences.filter { $0 > passed }.min()
  }

  /// After how long without a renewal a lease's rank is stopped.
  private func fence(of lease: HeldLease) -> Duration? {
    guard let own = lease.grant.spec.fenceSeconds else { return fenceAfter }
    return fenceAfter.map { min($0, .seconds(own)) }
  }

  /// Stops the ranks whose fence that is: the head counts them as lost by now, and may run them
  /// elsewhere. What they had printed and their ends are told when it is back.
  private func fence(at moment: Duration) {
    let text = "for \(moment / .seconds(1)) s"
    if let fenceAfter, moment >= fenceAfter {
      fenceRuntime?("the head was out of the node's reach \(text)")
    }
    let due = held.filter { fence(of: $0.value).map { $0 <= moment } ?? false }.keys.sorted()
    if !due.isEmpty {
      logger.warning("the head was silent \(text): \(due.count) ranks are stopped")
    }
    for id in due {
      stop(id, cause: .nodeLost(reason: "the head was out of the node's reach \(text)"))
      // A stop that came before may give more time than is left.
      guard held[id]?.grant.spec.fenceSeconds != nil, let process = held[id]?.process else {
        continue
      }
      Task { [clock] in
        try? await clock.sleep(for: Self.ownFenceGrace)
        process.kill()
      }
    }
  }

  /// Measures the time since `age` before now.
  private static func stopwatch(
    _ clock: some Clock<Duration>, from age: Duration
  ) -> @Sendable () -> Duration {
    let start = clock.now
    return { age + start.duration(to: clock.now) }
  }
}
