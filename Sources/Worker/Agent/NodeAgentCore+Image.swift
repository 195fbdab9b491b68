import IorunContract
import IorunCore

/// The images that ranks see as their roots.
extension NodeAgentCore {
  /// How often the buyer is told how far an image is.
  private static let progressPace = Duration.seconds(2)

  /// Makes an image ready for a lease. What that does is told in the rank's log, which begins with it.
  ///
  /// - Throws: `sandboxUnavailable` where ranks have no sandbox here, and what the store throws.
  func acquire(
    _ reference: ImageReference, for grant: LeaseGrant, _ folder: LeaseFolder
  ) async throws -> ImageStore.Image {
    guard let images else {
      throw IorunError(
        .sandboxUnavailable, "this node runs no images, because its ranks have no sandbox",
        remedy: "Use a node that was joined with --isolation auto, bwrap or oci")
    }
    let id = grant.id
    let log = try await Blocking.run { [settings] in
      try RankLog(
        file: folder.log,
        cap: RankLog.Cap(size: settings.logLimit, setting: settings.logLimitSetting))
    }
    held[id]?.log = log
    let sender = LogSender(lease: id, epoch: grant.epoch, log: log, head: head, retry: retry)
    held[id]?.sending = Task { try await sender.run() }
    let telling = Task { [clock] in
      var last: ImageStore.Progress?
      while (try? await clock.sleep(for: Self.progressPace)) != nil {
        guard let progress = images.progress(of: reference), progress != last else { continue }
        last = progress
        _ = try? await Blocking.run { log.note(progress.text) }
      }
    }
    defer { telling.cancel() }
    let content = content
    return try await retry(final: Self.finalImageFaults) {
      try await images.acquire(reference, for: id) { folder in
        guard let files = grant.workingFolder else {
          throw IorunError(.notFound, "no image came with the job")
        }
        try await content.stageImage(files, into: folder)
      }
    }
  }

  /// Everything but a head that is away for a while: another try would end in the same way, or another
  /// node may do better.
  private static var finalImageFaults: Set<IorunError.Code> {
    Retry.contentFaults.union([
      .imageInvalid, .networkSetup, .sandboxFailed, .sandboxUnavailable, .cancelled,
      .spawnFailed, .overloaded,
    ])
  }
}
