/// What thousands of peers cost a head.
struct PeersResult: Encodable {
  var peers: Int
  /// From the first connection to the last welcome.
  var connectSeconds: Double
  var heartbeatsPerSecond: Double
  /// Of one core, while nothing but heartbeats comes.
  var headCpuPercent: Double
  /// The same of a head that is libzmq's sockets alone and answers with ready bytes, in the same run.
  var plainHeadCpuPercent: Double
  /// How many heartbeats a second that head answered.
  var plainHeartbeatsPerSecond: Double
  /// What the head's resident memory grew by, over the number of peers.
  var headBytesPerPeer: Double
  /// From the start of a new head at the same address to the last peer's welcome.
  var reconnectSeconds: Double

  var text: String {
    """
    \(peers) peers on one head, each over a CURVE connection of its own, a heartbeat each second:

    \(Figures.table(
      ["what", "measured"],
      [
        ["all connected and welcomed", "\(Figures.fixed(connectSeconds, 1)) s"],
        ["heartbeats answered", "\(Figures.whole(heartbeatsPerSecond))/s"],
        ["head's processor time meanwhile", "\(Figures.fixed(headCpuPercent, 1)) % of a core"],
        ["libzmq alone: heartbeats answered", "\(Figures.whole(plainHeartbeatsPerSecond))/s"],
        ["libzmq alone: processor time", "\(Figures.fixed(plainHeadCpuPercent, 1)) % of a core"],
        ["head's memory", "\(Figures.fixed(headBytesPerPeer / 1000, 1)) kB a peer"],
        ["all back after the head was killed and started anew",
          "\(Figures.fixed(reconnectSeconds, 1)) s"],
      ]))
    """
  }
}
