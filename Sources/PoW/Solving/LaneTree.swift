internal import IorunCore
internal import IorunCrypto

/// The graph of one lane (Cohen and Pietrzak, EUROCRYPT 2018): a binary tree whose nodes need the
/// labels of their children, and whose leaves need those of all left siblings on the way from the
/// root. Nodes are numbered as in a heap, the root 1. Whoever computes it in an order that is not
/// one after the other has wrong labels on a large part of the ways.
struct LaneTree: Sendable {
  let seed: [UInt8]
  let lane: UInt32
  let depth: Int

  /// The state from which the chain of `node` begins, given the labels that it needs.
  func start(of node: Int, inputs: [[UInt8]]) -> [UInt32] {
    var bytes = Array("iorun/pow/1|lane".utf8) + seed
    bytes += Words.bytes(lane) + Words.bytes(UInt64(node))
    for input in inputs { bytes += input }
    return Words.words(SHA256.digest(of: bytes).bytes)
  }

  /// The left siblings on the way from the root to `leaf`, in that order.
  func leftSiblings(of leaf: Int) -> [Int] {
    (0..<depth).reversed().map { leaf >> $0 }.filter { $0 & 1 == 1 }.map { $0 - 1 }
  }
}
