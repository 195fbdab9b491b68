public import IorunContract
import IorunCore
import Logging

extension NodeAgentCore {
  /// Does what the head answered to a registration or heartbeat: stops and forgets the leases it
  /// does not want, and counts its silence anew. Returns at once.
  public func apply(orders: NodeOrders) {
    fenceAfter = .milliseconds(max(1, orders.fenceMilliseconds))
    heardFromHead()
    for lease in orders.stop where held[lease] != nil {
      Task { await self.remove(lease, cause: .cancelled) }
    }
  }

  /// Any word of the head proves that it is there. Without one for the time that its last orders
  /// named, the node fences itself.
  func heardFromHead() {
    guard let fenceAfter else { return }
    silence?.cancel()
    silence = Task { [clock] in
      guard (try? await clock.sleep(for: fenceAfter)) != nil else { return }
      self.fence()
    }
  }

  /// Stops every rank: the head has been silent for so long that it counts this node as lost and
  /// may run the ranks elsewhere. What they had printed and their ends are told when it is back.
  public func fence() {
    let text = fenceAfter.map { "for \($0 / .seconds(1)) s" } ?? "for too long"
    if !held.isEmpty {
      logger.warning("the head was silent \(text): all ranks are stopped")
    }
    for lease in held.keys.sorted() {
      stop(lease, cause: .nodeLost(reason: "the head was out of the node's reach \(text)"))
    }
  }
}
