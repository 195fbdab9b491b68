internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// Measures how fast bytes reach one device, or leave it: streams of growing length, until one takes
/// the time that was asked for, so that a slow line is not filled for minutes and a fast or long one
/// is out of TCP's slow start.
struct LineProbe: Sendable {
  let device: DeviceID
  let epoch: Int64
  let prover: any ProverService
  let head: PeerID
  let clock: HeadClock
  /// How long a stream is to take.
  let length: Duration
  /// False where it is to give way to jobs or proofs.
  let mayGoOn: @Sendable () async -> Bool

  /// The first stream: two mebibytes.
  private static let trialBlocks = 4 * StreamProbe.blocksPerSeal
  /// How much longer than eight streams all of them together may take.
  private static let patience = Duration.seconds(60)
  /// The most by which a stream is longer than the one before.
  private static let growth = 8

  /// Parts on their way at once: 8 MiB, which is 100 ms of 670 Mb/s.
  private static let underWay = StreamReceiver.window / 2

  /// The last stream's rate, which was at least half as long as asked for, or the largest there is.
  ///
  /// - Throws: `cancelled` where it gave way, a `Refusal` for bytes or seals that are not right, and what
  ///   the call to the device throws.
  func measure(_ direction: StreamProbe.Direction) async throws -> StreamProbe.Result {
    // A line that answers ever more slowly holds up nobody else's.
    let end = clock.elapsed() + length * 8 + Self.patience
    let most = StreamProbe.allowedBlocks.upperBound
    var blocks = Self.trialBlocks
    while true {
      let found = try await stream(direction, blocks, until: end)
      guard found.seconds < length.inSeconds / 2, blocks < most else { return found }
      let wanted = Double(blocks) * length.inSeconds / max(found.seconds, 1e-6)
      let longer = min(wanted, Double(blocks * Self.growth))
      blocks = min(max(Int(longer), blocks * 2), most)
    }
  }

  private func stream(
    _ direction: StreamProbe.Direction, _ blocks: Int, until end: Duration
  ) async throws -> StreamProbe.Result {
    let probe = try StreamProbe(
      device, epoch: epoch, direction, blocks: blocks, nowNanoseconds: clock.elapsedNanoseconds())
    let done =
      direction == .download
      ? try await download(probe, until: end) : try await upload(probe, until: end)
    guard let result = done.result else {
      throw IorunError(.internalFault, "a stream that ended and has no result")
    }
    return result
  }

  private func download(_ begun: StreamProbe, until end: Duration) async throws -> StreamProbe {
    var probe = begun
    let offer = probe.offer
    try await withThrowingTaskGroup(of: Int.self) { calls in
      var underWay: Set<Int> = []
      for number in 0..<offer.parts {
        try await check(until: end)
        var part = Data()
        for _ in 0..<StreamProbe.blocksPerSeal {
          if let block = try probe.nextBlock() { part.append(contentsOf: block) }
        }
        // Calls may overtake each other, and the device keeps what comes before its turn.
        while underWay.count >= Self.underWay
          || underWay.min().map({ number - $0 >= StreamReceiver.window }) ?? false
        {
          if let taken = try await calls.next() { underWay.remove(taken) }
        }
        underWay.insert(number)
        calls.addTask { [part] in
          try await prover.take(part, number: number, of: offer, caller: head)
          return number
        }
      }
      try await calls.waitForAll()
    }
    guard let key = probe.key() else {
      throw IorunError(.internalFault, "a stream that was sent and has no key")
    }
    let receipt = try await prover.receipt(of: offer, key: key, caller: head)
    try probe.take(receipt: receipt, from: .anybody, nowNanoseconds: clock.elapsedNanoseconds())
    return probe
  }

  private func upload(_ begun: StreamProbe, until end: Duration) async throws -> StreamProbe {
    var probe = begun
    let offer = probe.offer
    try await withThrowingTaskGroup(of: (Int, StreamProbe.Part).self) { calls in
      var asked = 0
      func ask() {
        guard asked < offer.parts else { return }
        calls.addTask { [asked] in
          (asked, try await prover.part(asked, of: offer, caller: head))
        }
        asked += 1
      }
      for _ in 0..<Self.underWay { ask() }
      var early: [Int: StreamProbe.Part] = [:]
      var next = 0
      while let (number, part) = try await calls.next() {
        try await check(until: end)
        early[number] = part
        while let part = early.removeValue(forKey: next) {
          try probe.take(
            part: [UInt8](part.bytes), seal: part.seal, from: .anybody,
            nowNanoseconds: clock.elapsedNanoseconds())
          next += 1
          ask()
        }
      }
    }
    return probe
  }

  private func check(until end: Duration) async throws {
    guard clock.elapsed() < end else {
      throw IorunError(.timedOut, "the streams to measure it take too long")
    }
    guard await mayGoOn() else {
      throw IorunError(.cancelled, "it gave way to jobs or proofs")
    }
  }
}
