import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

@Suite("Probes of network and disk")
struct ProbeTests {
  let world: PoWWorld

  init() throws { world = try PoWWorld() }

  private var signer: ProofSigner { .device(world.key) }

  private func refusal(_ body: () throws -> Void) -> Refusal? {
    do {
      try body()
      return nil
    } catch {
      return error as? Refusal
    }
  }

  @Test("echoes give the shortest time and the median by the verifier's clock")
  func echoes() throws {
    var probe = EchoProbe(world.device, epoch: 1)
    var number: UInt64 = 0
    while let request = try probe.next(nowNanoseconds: number * 1_000_000_000) {
      // 20 ms and up, in no order; seven of them are lost.
      number += 1
      let delay = (number * 5 % 21) * 1_000_000 + 20_000_000
      if number % 3 == 0 { continue }
      try probe.take(
        request.reply(signer), from: .anybody,
        nowNanoseconds: (number - 1) * 1_000_000_000 + delay)
    }
    let result = try #require(probe.result)
    #expect(result.answered == 14)
    #expect(result.minimumMilliseconds >= 20 && result.minimumMilliseconds < 23)
    #expect(result.medianMilliseconds > result.minimumMilliseconds)
    let after = try probe.next(nowNanoseconds: 0)
    #expect(after == nil)
  }

  @Test("an echo of another device, of another number, twice or before it was sent does not count")
  func falseEchoes() throws {
    var probe = EchoProbe(world.device, epoch: 1)
    let first = try probe.next(nowNanoseconds: 1000)
    let request = try #require(first)
    let reply = try request.reply(signer)
    let stranger = try request.reply(.device(SigningKey()))
    #expect(
      refusal { try probe.take(stranger, from: .anybody, nowNanoseconds: 2000) } == .notSealed)
    #expect(refusal { try probe.take(reply, from: .anybody, nowNanoseconds: 999) } == .early)
    for number in [1, -1, Int.max] {
      var other = reply
      other.number = number
      #expect(
        refusal { try probe.take(other, from: .anybody, nowNanoseconds: 2000) } == .wrongShape)
    }
    #expect(refusal { try probe.take(reply, from: .anybody, nowNanoseconds: 2000) } == nil)
    #expect(refusal { try probe.take(reply, from: .anybody, nowNanoseconds: 3000) } == .replayed)
    // A seal made for one number is none for the next.
    let second = try probe.next(nowNanoseconds: 4000)
    let next = try #require(second)
    var moved = reply
    moved.number = next.number
    #expect(refusal { try probe.take(moved, from: .anybody, nowNanoseconds: 5000) } == .notSealed)
    #expect(probe.result == nil)
  }

  @Test("a session's code serves for echoes as for proofs, of its own device only")
  func session() throws {
    let (device, verifier) = try world.session(epoch: 1)
    var probe = EchoProbe(world.device, epoch: 1)
    let first = try probe.next(nowNanoseconds: 0)
    let request = try #require(first)
    let reply = try request.reply(.session(device))
    #expect(refusal { try probe.take(reply, from: .anybody, nowNanoseconds: 1) } == .notSealed)
    #expect(refusal { try probe.take(reply, from: .session(verifier), nowNanoseconds: 1) } == nil)
    var other = EchoProbe(DeviceID(try SigningKey()), epoch: 1)
    _ = try other.next(nowNanoseconds: 0)
    #expect(
      refusal { try other.take(reply, from: .session(verifier), nowNanoseconds: 1) } == .wrongDevice
    )
  }

  @Test("a stream is the same for whoever has the seed, and of no use under another purpose")
  func stream() throws {
    let seed = SHA256.digest(of: [1])
    let stream = KeyedStream(seed: seed, purpose: "a")
    let block = try stream.block(3)
    #expect(block.count == KeyedStream.blockByteCount)
    #expect(try KeyedStream(seed: seed, purpose: "a").block(3) == block)
    #expect(try stream.block(4) != block)
    #expect(try KeyedStream(seed: seed, purpose: "b").block(3) != block)
    // No value is much more frequent than any other: 256 of each on average.
    var counts = [Int](repeating: 0, count: 256)
    for byte in block { counts[Int(byte)] += 1 }
    #expect(counts.allSatisfy { (150...370).contains($0) })
  }

  /// Downloads all blocks as a device does, without those that `skipped` names.
  private func download(
    _ probe: inout StreamProbe, skipping skipped: Set<Int> = []
  ) throws -> Digest {
    var received = RunningDigest()
    var number = 0
    while let block = try probe.nextBlock() {
      if !skipped.contains(number) { received.update(block) }
      number += 1
    }
    return received.digest
  }

  @Test("a download counts when the device has a digest of all its bytes under the late key")
  func downloads() throws {
    var probe = try StreamProbe(
      world.device, epoch: 1, .download, blocks: 20, nowNanoseconds: 1_000_000_000)
    let early = probe.key()
    #expect(early == nil)
    let received = try download(&probe)
    let late = probe.key()
    let key = try #require(late)
    let receipt = try probe.offer.receipt(received, key: key, signer)
    let wrongKey = try probe.offer.receipt(received, key: received, signer)
    let stranger = try probe.offer.receipt(received, key: key, .device(SigningKey()))
    for wrong in [wrongKey, stranger] {
      #expect(
        refusal {
          try probe.take(receipt: wrong, from: .anybody, nowNanoseconds: 2_000_000_000)
        } == .notSealed)
    }
    #expect(probe.result == nil)
    try probe.take(receipt: receipt, from: .anybody, nowNanoseconds: 2_000_000_000)
    let result = try #require(probe.result)
    #expect(result.bytes == 20 * 65_536 && result.seconds == 1)
    #expect(abs(result.megabitsPerSecond - 10.48576) < 1e-9)
    #expect(
      refusal {
        try probe.take(receipt: receipt, from: .anybody, nowNanoseconds: 3_000_000_000)
      } == .replayed)
  }

  @Test("a download with one block missing, or a receipt before the end, does not count")
  func partialDownloads() throws {
    var probe = try StreamProbe(world.device, epoch: 1, .download, blocks: 5, nowNanoseconds: 0)
    let early = try probe.offer.receipt(SHA256.digest(of: [1]), key: SHA256.digest(of: [2]), signer)
    #expect(
      refusal { try probe.take(receipt: early, from: .anybody, nowNanoseconds: 1) } == .early)
    let received = try download(&probe, skipping: [3])
    let late = probe.key()
    let receipt = try probe.offer.receipt(received, key: #require(late), signer)
    #expect(
      refusal { try probe.take(receipt: receipt, from: .anybody, nowNanoseconds: 1) } == .notSealed)
  }

  @Test("an upload counts part by part, each sealed by the device and of the asked stream")
  func uploads() throws {
    var probe = try StreamProbe(world.device, epoch: 1, .upload, blocks: 12, nowNanoseconds: 0)
    let offer = probe.offer
    let (block, key) = (try probe.nextBlock(), probe.key())
    #expect(block == nil && key == nil)
    func part(_ blocks: Range<Int>) throws -> [UInt8] {
      try blocks.flatMap { try offer.uploadStream.block(UInt64($0)) }
    }
    let first = try part(0..<8)
    let seal = try offer.seal(part: 0, digest: SHA256.digest(of: first), signer)
    func take(_ bytes: [UInt8], _ seal: Seal, at now: UInt64) -> Refusal? {
      refusal { try probe.take(part: bytes, seal: seal, from: .anybody, nowNanoseconds: now) }
    }
    #expect(take(first + [1], seal, at: 1) == .wrongShape)
    var wrong = first
    wrong[70_000] ^= 1
    #expect(take(wrong, seal, at: 1) == .notSealed)
    let wrongSeal = try offer.seal(part: 0, digest: SHA256.digest(of: wrong), signer)
    #expect(take(wrong, wrongSeal, at: 1) == .wrongWork)
    #expect(take(first, seal, at: 500_000_000) == nil)
    #expect(probe.result == nil)
    // The first part is no second one.
    #expect(take(Array(first.prefix(4 * 65_536)), seal, at: 600_000_000) == .notSealed)
    let last = try part(8..<12)
    let lastSeal = try offer.seal(part: 1, digest: SHA256.digest(of: last), signer)
    #expect(take(last, lastSeal, at: 1_000_000_000) == nil)
    #expect(probe.result?.seconds == 1)
    #expect(take(last, lastSeal, at: 1_000_000_001) == .wrongShape)
  }

  @Test("a device digests the parts of a download in their order, and says so of all of them alone")
  func receiver() throws {
    var probe = try StreamProbe(world.device, epoch: 1, .download, blocks: 20, nowNanoseconds: 0)
    let offer = probe.offer
    #expect(offer.parts == 3)
    var parts = [[UInt8]](repeating: [], count: 3)
    var number = 0
    while let block = try probe.nextBlock() {
      parts[number / StreamProbe.blocksPerSeal] += block
      number += 1
    }
    let sent = probe.key()
    let key = try #require(sent)
    var receiver = try StreamReceiver(offer)
    try receiver.take(part: 2, parts[2])
    try receiver.take(part: 0, parts[0])
    #expect(throws: IorunError.self) { try receiver.receipt(key: key, signer) }
    for (part, bytes) in [
      (0, parts[0]), (2, parts[2]), (1, parts[2]), (3, parts[2]), (-1, parts[1]), (Int.max, []),
    ] {
      #expect(throws: IorunError.self) { try receiver.take(part: part, bytes) }
    }
    try receiver.take(part: 1, parts[1])
    try probe.take(
      receipt: receiver.receipt(key: key, signer), from: .anybody, nowNanoseconds: 1_000_000_000)
    #expect(probe.result?.bytes == UInt64(20 * KeyedStream.blockByteCount))
    // No device keeps more than what a verifier has on its way.
    let long = try StreamProbe(world.device, epoch: 1, .download, blocks: 8192, nowNanoseconds: 0)
    var far = try StreamReceiver(long.offer)
    try far.take(part: StreamReceiver.window - 1, parts[0])
    #expect(throws: IorunError.self) { try far.take(part: StreamReceiver.window, parts[0]) }
    let up = try StreamProbe(world.device, epoch: 1, .upload, blocks: 1, nowNanoseconds: 0)
    #expect(throws: IorunError.self) { try StreamReceiver(up.offer) }
    #expect(throws: IorunError.self) { try long.offer.upload(part: 0, signer) }
    #expect(throws: IorunError.self) { try up.offer.upload(part: 1, signer) }
    for blocks in [0, -1, Int.max] {
      var absurd = offer
      absurd.blocks = blocks
      #expect(throws: IorunError.self) { try StreamReceiver(absurd) }
      absurd.direction = .upload
      #expect(throws: IorunError.self) { try absurd.upload(part: 0, signer) }
    }
  }

  @Test("absurd sizes are refused before anything is computed")
  func sizes() {
    for blocks in [0, -1, Int.max, StreamProbe.allowedBlocks.upperBound + 1] {
      #expect(throws: IorunError.self) {
        try StreamProbe(world.device, epoch: 1, .download, blocks: blocks, nowNanoseconds: 0)
      }
    }
    for bytes in [0, -1, Int.max] {
      #expect(throws: IorunError.self) { try DiskProbe(folder: "/tmp", bytes: bytes) }
    }
  }

  @Test("a disk is measured, and nothing is left behind")
  func disk() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "probe-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try DiskProbe(folder: folder.path, bytes: 3 << 20, randomReads: 20).run()
    #expect(result.capacityBytes >= result.freeBytes && result.freeBytes > 0)
    #expect(result.writeBytesPerSecond > 0 && result.readBytesPerSecond > 0)
    #expect(result.randomReadsPerSecond > 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    #expect(throws: IorunError.self) {
      try DiskProbe(folder: folder.path + "/none", bytes: 1 << 20).run()
    }
  }

  @Test("what falls short of rule or claim is named, and what was not measured is not")
  func shortfalls() {
    let claim = ConnectionProfile(downMegabits: 2000, upMegabits: 100, diskBytes: 500)
    func stream(_ direction: StreamProbe.Direction, _ megabits: Double) -> StreamProbe.Result {
      StreamProbe.Result(direction: direction, bytes: UInt64(megabits * 125_000), seconds: 1)
    }
    func echo(_ milliseconds: Double) -> EchoProbe.Result {
      EchoProbe.Result(
        answered: 21, minimumMilliseconds: milliseconds, medianMilliseconds: 2 * milliseconds)
    }
    func disk(_ free: UInt64) -> DiskProbe.Result {
      DiskProbe.Result(
        capacityBytes: 1000, freeBytes: free, writeBytesPerSecond: 1, readBytesPerSecond: 1,
        randomReadsPerSecond: 1, isDirect: true)
    }
    #expect(claim.shortfalls(echoes: [], download: nil, upload: nil, disk: nil) == [])
    #expect(
      claim.shortfalls(
        echoes: [echo(200), echo(29)], download: stream(.download, 1700),
        upload: stream(.upload, 260), disk: disk(500)) == [])
    #expect(
      claim.shortfalls(
        echoes: [echo(31)], download: stream(.download, 1500), upload: stream(.upload, 240),
        disk: disk(499)) == Set(ConnectionProfile.Shortfall.allCases))
  }
}
