import IorunContract
import IorunCore

/// Counts identities.
actor FakeExecutors {
  private(set) var acquired: [LeaseID] = []
  private(set) var released: [LeaseID] = []

  func acquire(_ lease: LeaseID) -> (PeerID, [String: String]) {
    acquired.append(lease)
    return (PeerID(high: 7, low: UInt64(acquired.count)), ["IORUN_IDENTITY": "\(lease)"])
  }

  func release(_ lease: LeaseID) { released.append(lease) }
}
