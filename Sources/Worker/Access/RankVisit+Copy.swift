import IorunContract
import IorunCore

extension RankVisit {
  /// Files into a rank's working folder.
  static func copyIn(_ path: String, _ view: RankView) -> RankVisit {
    let root = view.folder.work
    return RankVisit { stream in
      await settle(stream) {
        try await CopySink(root: root, target: path, givesAway: true).run(over: stream)
      }
    }
  }

  /// Files out of a rank's working folder.
  static func copyOut(_ path: String, _ view: RankView) -> RankVisit {
    let root = view.folder.work
    return RankVisit { stream in
      await settle(stream) { try await CopySource(root: root, path: path).run(over: stream) }
    }
  }

  private static func settle(
    _ stream: MeshStream, _ copy: () async throws -> CopyReport
  ) async {
    do {
      _ = try await copy()
      try await stream.drained()
      // The other side finishes too; what it may still say is for nobody.
      while try await stream.read() != nil {}
    } catch {
      stream.reset(
        error as? IorunError ?? IorunError(.cancelled, "the copy was given up", cause: error))
    }
  }
}
