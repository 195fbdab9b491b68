internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// The way to a node, its line, and its disk.
extension ProverCore {
  /// What a measurement writes, and how many blocks it reads at random: a second of a slow disk.
  private static let (diskBytes, randomReads) = (16 << 20, 200)

  private static let streamPatience = Duration.seconds(90)

  func echo(_ request: EchoProbe.Request, caller: PeerID) throws -> EchoProbe.Reply {
    try admit(caller)
    try check(isOwn: request.device)
    return try request.reply(.device(key))
  }

  func take(
    _ part: Data, number: Int, of offer: StreamProbe.Offer, caller: PeerID
  ) throws {
    try admit(caller)
    try check(isOwn: offer.device)
    if arriving?.stream.offer != offer {
      // Parts of one that was broken off may still come.
      guard offer.nonce != lastStream else {
        throw IorunError(.malformed, "a part of a stream that another has followed")
      }
      let stream = try StreamReceiver(offer)
      lastStream = arriving?.stream.offer.nonce
      arriving = (stream, .now)
      Task { await forgetStalled(offer) }
    }
    arriving?.at = .now
    try arriving?.stream.take(part: number, [UInt8](part))
  }

  /// Gives up a stream of which nothing has come for so long, and the parts that wait for others.
  private func forgetStalled(_ offer: StreamProbe.Offer) async {
    while let arriving, arriving.stream.offer == offer {
      if ContinuousClock.now - arriving.at > Self.streamPatience {
        self.arriving = nil
        return
      }
      // Cancelled is nobody's.
      try? await Task.sleep(for: Self.streamPatience)
    }
  }

  func receipt(of offer: StreamProbe.Offer, key: Digest, caller: PeerID) throws -> Seal {
    try admit(caller)
    guard let arrived = arriving?.stream, arrived.offer == offer else {
      throw IorunError(.malformed, "the key of a stream that is not on its way here")
    }
    arriving = nil
    lastStream = offer.nonce
    return try arrived.receipt(key: key, .device(self.key))
  }

  func part(_ number: Int, of offer: StreamProbe.Offer, caller: PeerID) throws
    -> StreamProbe.Part
  {
    try admit(caller)
    try check(isOwn: offer.device)
    return try offer.upload(part: number, .device(key))
  }

  func disk(caller: PeerID) async throws -> DiskProbe.Result {
    try admit(caller)
    guard let folder else {
      throw IorunError(.notFound, "this node has no folder whose disk it could measure")
    }
    guard !isMeasuringDisk else {
      throw IorunError(
        .overloaded, "this node measures its disk already", remedy: "Ask again in a minute")
    }
    isMeasuringDisk = true
    defer { isMeasuringDisk = false }
    let probe = try DiskProbe(
      folder: folder, bytes: Self.diskBytes, randomReads: Self.randomReads)
    return try await Blocking.run { try probe.run() }
  }
}
