import IorunContract
import IorunCore
import IorunWire

/// What a job's processes run and where they work, brought from the node of its driver.
struct RuntimeFiles: Sendable {
  var programs: ProgramStore?
  var remotes: HubRemotes
  /// This node's own drivers'.
  var own: DriverFiles
  /// This node.
  var node: NodeID

  /// A job and a place with paths of this machine, for an ordinary process. What this machine has is
  /// used; a working folder from elsewhere goes below `folder`.
  ///
  /// - Throws: as `ProgramStore`.
  func present(
    _ record: RuntimeJob, at place: RuntimeLauncher.Place, below folder: String
  ) async throws -> (RuntimeJob, RuntimeLauncher.Place) {
    var (record, place) = (record, place)
    if programs != nil, RuntimeLauncher.lacksProgram(record) {
      record.launcher.argv[0] = try await program(of: record)
    }
    if let copy = try await workingFolder(of: record, place, below: folder) {
      place.variables["IORUN_FOLDER"] = copy
    }
    return (record, place)
  }

  /// The program of a driver, under its content's name: another machine's, or this one's own.
  ///
  /// - Throws: as `ProgramStore.present`; `unreachable` where there is no store.
  func program(of record: RuntimeJob) async throws -> String {
    let blob =
      record.driver.node == node
      ? try await own.program(of: record.job)
      : try await remotes.bridge(record.driver.node).program(record.job)
    guard let programs else {
      throw IorunError(.unreachable, "this node fetches no programs")
    }
    return try await programs.present(blob)
  }

  /// A copy of the folder in which a worker program is to work, where that lies on another node; `nil`
  /// where there is none.
  ///
  /// - Parameter user: whose the copy is; `nil`: the agent's.
  /// - Throws: as `ProgramStore.present(folderAt:owner:_:)`.
  func workingFolder(
    of record: RuntimeJob, _ place: RuntimeLauncher.Place, below folder: String,
    owner user: UInt32? = nil
  ) async throws -> String? {
    guard record.launcher.kind == .program, let programs,
      let source = TravellingFolder(of: place.runtimeEnv),
      source.node != node || record.isSealed == true
    else { return nil }
    let copy = "\(folder)/folder-\(place.environment.prefix(32))"
    try await programs.present(folderAt: copy, owner: user) {
      source.node == node
        ? try await own.workingFolder(of: record.job, environment: place.environment)
        : try await remotes.bridge(source.node)
          .workingFolder(record.job, environment: place.environment)
    }
    return copy
  }
}
