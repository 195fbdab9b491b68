internal import IorunContract
internal import IorunCore

/// What nodes are told of a job.
extension JobLifecycle {
  /// The grants of these ranks of the latest attempt.
  func grants(_ wanted: some Sequence<Int>) -> [Action] {
    let byNode = Dictionary(grouping: ranks.indices) { ranks[$0].node }
    let nodeRanks = nodeRanks
    return wanted.map { rank in
      let held = ranks[rank]
      let neighbours = byNode[held.node] ?? [rank]
      let seat = record.network.map {
        OverlaySeat(
          network: $0.network, node: nodeRanks[held.node, default: 0], nodeCount: nodeRanks.count)
      }
      return .prepare(
        held.node,
        LeaseGrant(
          id: held.lease, epoch: held.epoch, spec: record.presentSpec,
          workingFolder: record.workingFolder, gpuIndices: held.gpuIndices,
          localRank: neighbours.firstIndex(of: rank) ?? 0, localWorldSize: neighbours.count,
          network: seat))
    }
  }

  /// The orders to start these ranks; none unless all ranks of the gang are prepared.
  func starts(_ wanted: some Sequence<Int>) -> [Action] {
    let members = ranks.compactMap(\.executor)
    guard members.count == ranks.count, let first = ranks.first, let port = first.port else {
      return []
    }
    let nodeRanks = nodeRanks
    let network = gangNetwork(nodeRanks)
    // Rank 0 is on the gang's first node.
    let address = record.network.map { $0.network.four(of: 0).description } ?? first.address
    return wanted.map { rank in
      let gang = GangStart(
        masterAddress: address, masterPort: port, members: members,
        nodeCount: nodeRanks.count, nodeRank: nodeRanks[ranks[rank].node, default: 0],
        network: network)
      return .start(ranks[rank].node, ranks[rank].lease, epoch: ranks[rank].epoch, gang)
    }
  }

  /// Each node's number in the gang, in the order of the ranks.
  private var nodeRanks: [PeerID: Int] {
    var numbers: [PeerID: Int] = [:]
    for held in ranks where numbers[held.node] == nil { numbers[held.node] = numbers.count }
    return numbers
  }

  private func gangNetwork(_ nodeRanks: [PeerID: Int]) -> GangNetwork? {
    guard let allotment = record.network else { return nil }
    var members: [Int: TunnelMember] = [:]
    for rank in ranks {
      if let number = nodeRanks[rank.node], members[number] == nil { members[number] = rank.tunnel }
    }
    return GangNetwork(
      presharedKey: allotment.presharedKey,
      members: nodeRanks.count == 1 ? [] : members.sorted { $0.key < $1.key }.map(\.value),
      nodes: ranks.map { nodeRanks[$0.node, default: 0] })
  }
}
