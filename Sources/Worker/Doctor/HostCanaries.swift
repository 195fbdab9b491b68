internal import Foundation
internal import IorunCore
internal import IorunSandbox

/// Tries on this machine what a node keeps work apart with: a canary in each driver, scratch that is
/// written and read back, a way to the internet, the kernel's word about processes. In folders and control
/// groups of its own, so that a node that runs meanwhile is not touched; nothing is left.
struct HostCanaries: Sendable {
  /// What was found.
  struct Findings: Sendable {
    /// False where nothing could be tried.
    var isRoot = true
    /// Of each driver that is installed.
    var drivers: [SandboxReport] = []
    /// The scratch that worked, and why better kinds did not.
    var scratch: ScratchKind?
    var scratchRefusals: [ScratchKind: String] = [:]
    /// Why nobody is led to the internet; `nil` where that worked.
    var egressFault: IorunError?
    /// Why the guard would not hear of processes as they begin; `nil` where it would.
    var eventsFault: String?
  }

  /// This program, whose first argument makes it a canary.
  var program = "/proc/self/exe"
  /// Where a folder of its own is made; on the disk that a node's scratch would be on.
  var folder: String

  /// Tries. Takes some seconds.
  ///
  /// - Throws: `fileSystem` where no folder can be made.
  func run() async throws -> Findings {
    var found = Findings()
    found.eventsFault = ContainerGuard.eventsFault()
    guard geteuid() == 0 else {
      found.isRoot = false
      return found
    }
    let name = "iorun-doctor-\(getpid())"
    let place = folder + "/." + name
    let groups = ControlGroupLayout.current()
    let host = try await Blocking.run {
      try SandboxHost(stateFolder: place, groupName: name, groups: groups, isRoot: true)
    }
    let file =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: program)) ?? program
    found.drivers = await SandboxChoice.survey(
      host: host,
      test: SandboxSelfTest(
        canary: file, folder: place, libraryFolders: HostRoot.ownLibraryFolders()))
    let drivers = found
    // In a task of its own: what was begun is also taken away where the caller is cancelled.
    return try await Task {
      try await Blocking.run {
        defer {
          _ = try? ControlGroup.reapLeftovers(groups, parent: name)
          ControlGroup.removeParent(groups, parent: name)
          try? FileManager.default.removeItem(atPath: place)
        }
        var found = drivers
        let scratch = try ScratchPool(folder: place + "/scratch")
        found.scratch = scratch.backend?.kind
        found.scratchRefusals = scratch.refusals
        found.egressFault = Self.egressFault()
        return found
      }
    }.value
  }

  /// Makes a network to the internet, and takes it away.
  private static func egressFault() -> IorunError? {
    do {
      let router = try EgressRouter()
      defer { router.close() }
      try EgressNetwork(.internet(members: []), router: router).close()
      return nil
    } catch let error as IorunError {
      return error
    } catch {
      return IorunError(.sandboxFailed, "no network could be made", cause: error)
    }
  }
}
