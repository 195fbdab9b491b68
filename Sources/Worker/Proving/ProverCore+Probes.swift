internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// The way to a node, and its disk.
extension ProverCore {
  /// What a measurement writes, and how many blocks it reads at random: a second of a slow disk.
  private static let (diskBytes, randomReads) = (16 << 20, 200)

  func echo(_ request: EchoProbe.Request, caller: PeerID) throws -> EchoProbe.Reply {
    try admit(caller)
    try check(isOwn: request.device)
    return try request.reply(.device(key))
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
