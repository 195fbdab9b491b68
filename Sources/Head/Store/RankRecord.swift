internal import IorunContract
internal import IorunCore

/// One rank of one attempt as the head keeps it: a row of `ranks`.
struct RankRecord: Sendable, Hashable {
  let lease: LeaseID
  let node: PeerID
  let nodeName: String
  /// The node's address in the gang when it was placed.
  let address: String
  let gpuIndices: [Int]
  let epoch: Int64
  var state = RankStatus.State.preparing
  /// The cause with which its node was told to stop it, once it was.
  var stopCause: ExitCause?
  var executor: PeerID?
  var port: UInt16?
  /// How the gang's other nodes reach its node's tunnel.
  var tunnel: TunnelMember?
  var cause: ExitCause?
  var lastLines: [String] = []
  /// What it used, once it has ended and its node said so.
  var usage: RankUsage?

  var rank: Int { lease.rank }
  var isEnded: Bool { state == .ended }

  /// The same in a client's words.
  var status: RankStatus {
    RankStatus(
      rank: rank, node: node, nodeName: nodeName, state: state, cause: cause, lastLines: lastLines,
      usage: usage)
  }
}
