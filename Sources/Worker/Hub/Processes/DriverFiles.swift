import IorunContent
import IorunContract
import IorunCore
import IorunWire

/// What drivers of this node have that their workers elsewhere need: their programs and working folders.
struct DriverFiles: Sendable {
  let mailbox: HubMailbox
  var programs: ProgramStore?

  /// A driver's program, given to the head's chunks.
  ///
  /// - Throws: `notFound`; as `ProgramStore.offer`; `notAllowed` for a program that a driver in a
  ///   sandbox names and cannot be its own.
  func program(of job: JobID) async throws -> Blob {
    let (path, seat) = try await mailbox.ask { hub in
      guard let present = hub.jobs[job], present.record.driver.node == hub.settings.node,
        present.record.launcher.kind == .program,
        let path = present.record.launcher.argv.first
      else { throw IorunError(.notFound, "this node has no program of job \(job)") }
      return (path, present.seat)
    }
    guard let programs else { throw IorunError(.notFound, "this node gives no programs away") }
    guard let seat else { return try await programs.offer(path) }
    let reached = try await Blocking.run { try seat.reach(path, isFolder: false) }
    defer { withExtendedLifetime(reached) {} }
    return try await programs.offer(reached.path, as: "\(job):\(path)")
  }

  /// The folder of an environment of a driver, given to the head's chunks.
  ///
  /// - Throws: `notFound`; as `ProgramStore.offer`; `notAllowed` as for `program`.
  func workingFolder(of job: JobID, environment: String) async throws -> Blob {
    let (path, seat) = try await mailbox.ask { hub in
      // An environment of a job from elsewhere says nothing of this machine's folders.
      guard let present = hub.jobs[job], present.sealedUser == nil || present.seat != nil,
        let text = present.environments[environment]?.text, let folder = TravellingFolder(of: text),
        folder.node == hub.settings.node
      else { throw IorunError(.notFound, "this node has no such working folder of job \(job)") }
      return (folder.path, present.seat)
    }
    guard let programs else { throw IorunError(.notFound, "this node gives no folders away") }
    guard let seat else { return try await programs.offer(folder: path, as: environment) }
    let reached = try await Blocking.run { try seat.reach(path, isFolder: true) }
    defer { withExtendedLifetime(reached) {} }
    return try await programs.offer(folder: reached.path, as: "\(job):\(environment)")
  }
}
