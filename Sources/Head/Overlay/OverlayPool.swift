internal import IorunContract
internal import IorunCore

/// Where the networks of gangs get their addresses: IPv4 blocks of 100.64.0.0/10, then of 10.0.0.0/8,
/// and an IPv6 /64 each. A pure value; what is taken is read from the live jobs, so an allotment ends
/// with its attempt and outlives the head with it.
struct OverlayPool: Sendable {
  /// The first 48 bits of the network's IPv6 addresses: fd and 40 bits (RFC 4193) of the head's own
  /// id, so that two networks' gangs differ, too.
  private let prefix: UInt64
  private static let smallestBlock = 24
  private static let mostTries = 100_000

  init(head: PeerID) { prefix = 0xfd00 << 48 | (head.high >> 24) << 16 }

  /// Addresses for a gang of so many nodes; `nil` where none are left.
  ///
  /// - Parameters:
  ///   - number: the attempt's epoch; successive ones get different addresses, so that what is late
  ///     of a gang that is over meets nobody.
  ///   - avoiding: the networks that the gang's nodes are in.
  ///   - taken: what other gangs have.
  func allot(
    nodes: Int, number: Int64, avoiding: Set<IPPrefix>, taken: [OverlayNetwork]
  ) -> OverlayNetwork? {
    guard (1...OverlayNetwork.mostNodes).contains(nodes),
      let four = four(nodes, number, avoiding.union(taken.map(\.four))),
      let six = six(number, avoiding.union(taken.map(\.six)))
    else { return nil }
    return OverlayNetwork(four: four, six: six)
  }

  private func four(_ nodes: Int, _ number: Int64, _ occupied: Set<IPPrefix>) -> IPPrefix? {
    var length = Self.smallestBlock
    // The first and the last address of a block stay unused.
    while nodes + 2 > 1 << (32 - length) { length -= 1 }
    for range in OverlayNetwork.privateFour {
      guard case .v4(let base) = range.network else { continue }
      let near = occupied.filter { $0.overlaps(range) }
      let count = UInt64(1) << UInt64(length - range.length)
      for step in 0..<min(count, UInt64(Self.mostTries)) {
        let block = (UInt64(bitPattern: number) &+ step) % count
        let address = base + UInt32(block << UInt64(32 - length))
        guard let candidate = IPPrefix(.v4(address), length: length) else { continue }
        if !near.contains(where: { $0.overlaps(candidate) }) { return candidate }
      }
    }
    return nil
  }

  private func six(_ number: Int64, _ occupied: Set<IPPrefix>) -> IPPrefix? {
    for step in 0..<UInt64(1 << 16) {
      let subnet = (UInt64(bitPattern: number) &+ step) & 0xffff
      guard let candidate = IPPrefix(.v6(high: prefix | subnet, low: 0), length: 64) else {
        continue
      }
      if !occupied.contains(where: { $0.overlaps(candidate) }) { return candidate }
    }
    return nil
  }
}
