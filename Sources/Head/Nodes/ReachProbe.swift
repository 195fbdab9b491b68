internal import IorunContract
internal import IorunCore

/// Asks other nodes whether they still reach the host of one that fell silent: a node behind a broken
/// cable of the head's is not gone.
struct ReachProbe: Sendable {
  let head: PeerID
  let directory: NodeDirectory
  let agent: HeadServices.AgentLookup
  let tasks: TaskPool

  private static let milliseconds = 1000

  /// Asks, for each node that is silent; the answers come later.
  func look() async {
    for (node, address, witnesses) in await directory.silentNodes() {
      for witness in witnesses {
        tasks.run {
          let answer = try? await agent(witness.id).reaches(
            address, milliseconds: Self.milliseconds, caller: head)
          if answer == true { await directory.reached(node, by: witness.facts.name) }
        }
      }
    }
  }
}
