internal import CShim
internal import Foundation
internal import IorunCore

extension SandboxProcess {
  /// Starts another program in the sandbox, beside its own: in its namespaces and control groups, as
  /// its user, under the same filter and limits. Nobody collects it but the caller. Blocks shortly.
  ///
  /// - Parameters:
  ///   - command: an absolute path inside, and arguments.
  ///   - folder: the folder inside to begin in.
  ///   - inherited: become 3, 4 and so on.
  /// - Returns: a child of this process that ends when the program does.
  /// - Throws: `sandboxUnavailable` where this driver lets nobody in, `notFound` where the sandbox has
  ///   ended, `spawnFailed`.
  public func enter(
    _ command: [String], environment: [String: String], folder: String, streams: SandboxStreams,
    inherited: [Int32]
  ) throws -> Int32 {
    guard let group, let limits, let architecture = SeccompProfile.Architecture.current,
      let program = command.first
    else {
      throw IorunError(.sandboxUnavailable, "nothing can be started in this sandbox from outside")
    }
    var spaces: [Int32] = []
    defer { for space in spaces { close(space) } }
    guard let inside = Self.oldest(in: group) else { throw Self.hasEnded }
    for kind in ["cgroup", "ipc", "uts", "net", "pid", "mnt", "user"] {
      let space = open("/proc/\(inside)/ns/\(kind)", O_RDONLY | O_CLOEXEC)
      guard space >= 0 else { throw Self.hasEnded }
      spaces.append(space)
    }
    // Its id may have become another's meanwhile, but then not one of this group.
    guard Self.oldest(in: group) == inside else { throw Self.hasEnded }
    return try SandboxLaunch(
      path: program, arguments: command, environment: environment, folder: folder,
      streams: streams, inherited: inherited, group: group,
      limits: BubblewrapDriver.limits(limits), spaces: spaces, user: SandboxSpec.userInside,
      filter: SeccompProfile.standard.filter(for: architecture)
    ).start()
  }

  /// Sends SIGKILL to the process that has this id inside; nothing where there is none. For those whose
  /// id on the host is not known: it reads of every process of the sandbox. Blocks shortly.
  public func kill(inside id: Int32) {
    guard let group else { return }
    for member in group.members() where Self.ids(of: member).last == Int(id) {
      let descriptor = iorun_pidfd_open(member)
      guard descriptor >= 0 else { continue }
      // Looked at again: it may have ended, and its id be another's, before there was a descriptor.
      if Self.ids(of: member).last == Int(id), group.members().contains(member) {
        _ = iorun_pidfd_signal(descriptor, SIGKILL)
      }
      close(descriptor)
    }
  }

  /// A process's ids, from this process's namespace down to its own.
  private static func ids(of pid: pid_t) -> [Int] {
    let status = ControlGroup.text("/proc/\(pid)/status")
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("NSpid:") })
    else { return [] }
    return line.split(whereSeparator: \.isWhitespace).dropFirst().compactMap { Int($0) }
  }

  private static var hasEnded: IorunError {
    IorunError(.notFound, "the sandbox has ended")
  }

  /// The program that the driver started: of those with an id in a namespace below ours the first,
  /// but for the driver's own, which is 1 there.
  private static func oldest(in group: ControlGroup) -> pid_t? {
    group.members().compactMap { pid -> (inside: Int, pid: pid_t)? in
      let ids = ids(of: pid)
      guard ids.count > 1, let inside = ids.last, inside > 1 else { return nil }
      return (inside, pid)
    }.min { $0.inside < $1.inside }?.pid
  }
}
