internal import Foundation
internal import IorunCore

/// Runs a head and the processes that hold its peers, and watches the head.
struct PeersBenchmark {
  fileprivate static let patience = 180.0

  let count: Int
  let processes: Int
  let seconds: Double

  func run() throws -> PeersResult {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    let keyFile = folder.path + "/key"
    let plain = try withPeers(of: "plain", keyFile: keyFile, in: folder.path) { crowd in
      try crowd.heartbeats(over: seconds)
    }
    return try withPeers(of: "head", keyFile: keyFile, in: folder.path) { crowd in
      let connected = crowd.connectSeconds
      let sample = try crowd.heartbeats(over: seconds)
      let grown = Self.residentBytes(crowd.head.pid) - crowd.headBytesBefore
      crowd.head.kill()
      let restarted = Meter.now()
      crowd.head = try head("head", at: crowd.address, keyFile: keyFile)
      try crowd.wait(for: 2 * count)
      return PeersResult(
        peers: count, connectSeconds: connected, heartbeatsPerSecond: sample.callsPerSecond,
        headCpuPercent: 100 * sample.serverCPUSeconds / sample.elapsedSeconds,
        plainHeadCpuPercent: 100 * plain.serverCPUSeconds / plain.elapsedSeconds,
        plainHeartbeatsPerSecond: plain.callsPerSecond,
        headBytesPerPeer: Double(grown) / Double(count),
        reconnectSeconds: Double(Meter.now() - restarted) * 1e-9)
    }
  }

  /// A head and the processes that hold its peers.
  private struct Crowd {
    var head: Child
    let address: String
    let headBytesBefore: Int
    let tallies: [String]
    var connectSeconds = 0.0

    func sums() -> (welcomed: Int, answered: Int) {
      tallies.map(PeersParty.Tally.read).reduce((0, 0)) { ($0.0 + $1.welcomes, $0.1 + $1.answers) }
    }

    func wait(for number: Int) throws {
      let end = Meter.now() + Int64(PeersBenchmark.patience * 1e9)
      while sums().welcomed < number {
        let welcomed = sums().welcomed
        Progress.show("\(welcomed) of \(number) welcomes")
        guard Meter.now() < end else {
          throw IorunError(
            .timedOut, "\(welcomed) of \(number) welcomes after \(PeersBenchmark.patience) s")
        }
        usleep(20_000)
      }
      Progress.clear()
    }

    /// What the head does while nothing but heartbeats comes.
    func heartbeats(over seconds: Double) throws -> Sample {
      // The storm's last allocations and timers settle.
      usleep(2_000_000)
      let before = sums().answered
      let meter = try Meter(server: head.pid)
      usleep(useconds_t(seconds * 1e6))
      return meter.sample(calls: sums().answered - before)
    }
  }

  private func head(_ part: String, at address: String, keyFile: String) throws -> Child {
    try Child(
      Machine.executable,
      ["__peers", part, address, "--folder", keyFile, "--count", "\(count)"])
  }

  private func withPeers<Result>(
    of part: String, keyFile: String, in folder: String, _ body: (inout Crowd) throws -> Result
  ) throws -> Result {
    let head = try head(part, at: "tcp://127.0.0.1:0", keyFile: keyFile)
    let place: Party.Announcement
    do {
      place = try head.readLine()
    } catch {
      head.end()
      throw error
    }
    var crowd = Crowd(
      head: head, address: place.address, headBytesBefore: Self.residentBytes(head.pid),
      tallies: (0..<processes).map { "\(folder)/\(part)-\($0)" })
    defer { crowd.head.end() }
    let begun = Meter.now()
    var holders: [Child] = []
    defer { for holder in holders { holder.end() } }
    for index in 0..<processes {
      holders.append(
        try Child(
          Machine.executable,
          [
            "__peers", "peers", place.address, "--folder", crowd.tallies[index], "--key",
            Base32.encode(place.key), "--count", "\(share(of: index))",
            "--first", "\((0..<index).map(share).reduce(0, +))",
          ]))
    }
    try crowd.wait(for: count)
    crowd.connectSeconds = Double(Meter.now() - begun) * 1e-9
    return try body(&crowd)
  }

  private func share(of index: Int) -> Int {
    count / processes + (index < count % processes ? 1 : 0)
  }

  private static func residentBytes(_ pid: Int32) -> Int {
    let kilobytes = Machine.field("VmRSS", in: Machine.text("/proc/\(pid)/status"))
      .flatMap { $0.split(separator: " ").first }.flatMap { Int($0) }
    return (kilobytes ?? 0) * 1024
  }
}
