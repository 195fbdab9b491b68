internal import Foundation
internal import IorunCore

/// Runs a head and the processes that hold its peers, and watches the head.
struct PeersBenchmark {
  private static let patience = 180.0

  let count: Int
  let processes: Int
  let seconds: Double

  func run() throws -> PeersResult {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    let keyFile = folder.path + "/key"
    var head = try Child(
      Machine.executable,
      ["__peers", "head", "tcp://127.0.0.1:0", "--folder", keyFile, "--count", "\(count)"])
    defer { head.end() }
    let place: Party.Announcement = try head.readLine()
    let before = Self.residentBytes(head.pid)
    let begun = Meter.now()
    let holders = try (0..<processes).map { index in
      try Child(
        Machine.executable,
        [
          "__peers", "peers", place.address, "--folder", "\(folder.path)/\(index)", "--key",
          Base32.encode(place.key), "--count", "\(share(of: index))",
          "--first", "\((0..<index).map(share).reduce(0, +))",
        ])
    }
    defer { for holder in holders { holder.end() } }
    func welcomes() -> (welcomed: Int, answered: Int) {
      (0..<processes).map { PeersParty.Tally.read("\(folder.path)/\($0)") }
        .reduce((0, 0)) { ($0.0 + $1.welcomes, $0.1 + $1.answers) }
    }
    func wait(for number: Int) throws {
      let end = Meter.now() + Int64(Self.patience * 1e9)
      while welcomes().welcomed < number {
        Progress.show("\(welcomes().welcomed) of \(number) welcomes")
        guard Meter.now() < end else {
          throw IorunError(
            .timedOut, "\(welcomes().welcomed) of \(number) welcomes after \(Self.patience) s")
        }
        usleep(20_000)
      }
    }
    try wait(for: count)
    let connected = Double(Meter.now() - begun) * 1e-9
    // The storm's last allocations and timers settle.
    usleep(2_000_000)
    let answeredBefore = welcomes().answered
    let meter = try Meter(server: head.pid)
    usleep(useconds_t(seconds * 1e6))
    let sample = meter.sample(calls: welcomes().answered - answeredBefore)
    let grown = Self.residentBytes(head.pid) - before
    head.kill()
    let restarted = Meter.now()
    head = try Child(
      Machine.executable,
      ["__peers", "head", place.address, "--folder", keyFile, "--count", "\(count)"])
    try wait(for: 2 * count)
    let reconnected = Double(Meter.now() - restarted) * 1e-9
    Progress.clear()
    return PeersResult(
      peers: count, connectSeconds: connected, heartbeatsPerSecond: sample.callsPerSecond,
      headCpuPercent: 100 * sample.serverCPUSeconds / sample.elapsedSeconds,
      headBytesPerPeer: Double(grown) / Double(count), reconnectSeconds: reconnected)
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
