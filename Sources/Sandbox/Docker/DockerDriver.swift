internal import CShim
internal import Foundation
internal import IorunCore
internal import IorunCrypto

/// Runs programs in containers of a Docker daemon, for machines that have nothing else. Its limits,
/// control groups and mounts are the daemon's. Three things are less than with the other drivers: the
/// root is read-only even with scratch (only `/job` can be written), there is no network but none, and
/// the daemon keeps the environment on its own disk until the container is removed.
public struct DockerDriver: SandboxDriver {
  /// The daemon's socket.
  public let program: String
  private let host: SandboxHost
  private let engine: DockerEngine

  static let label = "iorun.group"
  static let image = "iorun-root"

  /// Makes a driver for the daemon at a socket.
  public init(socket: String = "/var/run/docker.sock", host: SandboxHost) {
    program = socket
    self.host = host
    engine = DockerEngine(socket: socket)
  }

  /// See ``SandboxDriver/kind``.
  public var kind: SandboxKind { .docker }

  private struct Information: Decodable {
    var MemoryLimit: Bool
    var PidsLimit: Bool?
    var CpuCfsQuota: Bool?
  }
  private struct Made: Decodable { var Id: String }
  private struct Inspection: Decodable {
    struct State: Decodable {
      var Pid: Int32
      var ExitCode: Int32
      var OOMKilled: Bool
      var Error: String
    }
    var State: State
  }

  /// See ``SandboxDriver/launch(_:streams:)``.
  public func launch(_ spec: SandboxSpec, streams: SandboxStreams) throws -> SandboxProcess {
    try spec.validate()
    guard let architecture = SeccompProfile.Architecture.current else {
      throw IorunError(.sandboxUnavailable, "there is no filter of system calls for this processor")
    }
    guard spec.network == .none else {
      throw IorunError(
        .sandboxUnavailable, "a container of a Docker daemon gets no network",
        remedy: "Install bubblewrap, crun or runc")
    }
    if let scratch = spec.scratch {
      try SandboxFolder.make(scratch + "/job", mode: 0o755)
      guard chown(scratch + "/job", spec.hostUser, spec.hostUser) == 0 else {
        throw IorunError.system("cannot give to a sandbox", scratch + "/job", errno: errno)
      }
    }
    try SandboxFolder.addMountPoints(root: spec.root)
    let information = try engine.get("/info", for: Information.self)
    var missing: Set<SandboxLimit> = []
    if !information.MemoryLimit { missing.insert(.memory) }
    if information.PidsLimit == false { missing.insert(.processes) }
    if information.CpuCfsQuota == false { missing.insert(.cpu) }
    let root = try DockerRoot(spec.root, places: spec.binds)
    let container = try DockerContainer(
      spec, root: root, image: try load(root), group: host.groupName,
      hasInput: streams.input >= 0, architecture: architecture)
    let made = try engine.request(
      "POST", "/containers/create", sending: container, for: Made.self)
    guard made.Id.count == 64, made.Id.allSatisfy(\.isHexDigit) else {
      throw IorunError(
        .sandboxFailed, "the Docker daemon names a container '\(made.Id.prefix(80))'")
    }
    let remote = DockerSandbox(engine: engine, id: made.Id, missing: missing)
    do {
      // Attached before it is started, so that nothing it prints is lost.
      try remote.attach(streams)
      try engine.request("POST", "/containers/\(made.Id)/start")
      let state = try engine.get("/containers/\(made.Id)/json", for: Inspection.self).State
      return SandboxProcess(pid: state.Pid, remote: remote)
    } catch {
      remote.remove()
      throw error
    }
  }

  /// Ends and removes the containers that an agent left behind when it died.
  public func removeLeftovers() throws {
    let filter = "{\"label\":[\"\(Self.label)=\(host.groupName)\"]}"
    let query = filter.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    for made in try engine.get("/containers/json?all=1&filters=\(query)", for: [Made].self) {
      try engine.request("DELETE", "/containers/\(made.Id)?force=1&v=1", accepted: [404, 409])
    }
  }

  // The name of an image with these places, which the daemon has or is given.
  private func load(_ root: DockerRoot) throws -> String {
    let tag = SHA256.digest(of: root.archive).description
    let name = Self.image + ":" + tag
    let answer = try engine.request("GET", "/images/\(name)/json", accepted: [404])
    if answer.status == 404 {
      try engine.request(
        "POST", "/images/create?fromSrc=-&repo=\(Self.image)&tag=\(tag)", body: root.archive,
        type: "application/x-tar")
    }
    return name
  }
}

/// One container.
private struct DockerSandbox: RemoteSandbox {
  let engine: DockerEngine
  let id: String
  let missing: Set<SandboxLimit>
  /// Done once all that the program printed was passed on.
  private let printed = DispatchGroup()

  init(engine: DockerEngine, id: String, missing: Set<SandboxLimit>) {
    self.engine = engine
    self.id = id
    self.missing = missing
  }

  private struct Waited: Decodable { var StatusCode: Int32 }
  private struct Inspection: Decodable {
    struct State: Decodable { var OOMKilled: Bool }
    var State: State
  }

  // Two threads that end with the container: what it prints comes in frames (Engine API,
  // ContainerAttach): one byte of which stream, three of nothing, four of the length.
  func attach(_ streams: SandboxStreams) throws {
    let query = "stream=1&stdout=1&stderr=1" + (streams.input >= 0 ? "&stdin=1" : "")
    let attachment = try engine.attach("/containers/\(id)/attach?\(query)")
    let rest = attachment.rest
    let targets = [streams.output, streams.errors, streams.input].map {
      $0 < 0 ? -1 : fcntl($0, F_DUPFD_CLOEXEC, 3)
    }
    let socket = fcntl(attachment.connection.descriptor, F_DUPFD_CLOEXEC, 3)
    printed.enter()
    let output = Thread { [printed] in
      Self.passOn(from: socket, rest, to: targets)
      for descriptor in targets.prefix(2) + [socket] { close(descriptor) }
      printed.leave()
    }
    output.start()
    guard targets[2] >= 0 else { return }
    let upstream = fcntl(attachment.connection.descriptor, F_DUPFD_CLOEXEC, 3)
    let input = Thread {
      var bytes = [UInt8](repeating: 0, count: 16 << 10)
      while true {
        let count = read(targets[2], &bytes, bytes.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0, Self.writeAll(bytes[..<count], to: upstream) else { break }
      }
      shutdown(upstream, Int32(SHUT_WR))
      close(upstream)
      close(targets[2])
    }
    input.start()
  }

  private static func passOn(from socket: Int32, _ rest: [UInt8], to targets: [Int32]) {
    var heard = rest[...]
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    var target: Int32 = -1
    var left = 0
    while true {
      while !heard.isEmpty {
        if left == 0 {
          guard heard.count >= 8 else { break }
          let head = Array(heard.prefix(8))
          heard = heard.dropFirst(8)
          left = head[4...].reduce(0) { $0 << 8 | Int($1) }
          target = targets[head[0] == 2 ? 1 : 0]
        } else {
          let piece = heard.prefix(left)
          _ = writeAll(piece, to: target)
          left -= piece.count
          heard = heard.dropFirst(piece.count)
        }
      }
      let count = read(socket, &bytes, bytes.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      heard += bytes[..<count]
    }
  }

  // A pipe without a reader ends it: agents ignore SIGPIPE.
  private static func writeAll(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  func wait() -> (cause: ExitCause, usage: SandboxUsage) {
    var usage = SandboxUsage()
    do {
      let answer = try engine.request("POST", "/containers/\(id)/wait")
      let status = try JSONDecoder().decode(Waited.self, from: Data(answer.body)).StatusCode
      let state = try engine.get("/containers/\(id)/json", for: Inspection.self).State
      if state.OOMKilled { usage.outOfMemoryKills = 1 }
      // Until its last words are where they belong.
      printed.wait()
      return (SandboxDriverEnd.understand(.exited(status: status)), usage)
    } catch {
      return (.notStarted(reason: "the Docker daemon lost its container: \(error)"), usage)
    }
  }

  func signal(_ number: Int32) {
    _ = try? engine.request(
      "POST", "/containers/\(id)/kill?signal=\(number)", accepted: [404, 409])
  }

  func freeze(_ isFrozen: Bool) throws {
    try engine.request("POST", "/containers/\(id)/\(isFrozen ? "pause" : "unpause")")
  }

  func remove() {
    _ = try? engine.request("DELETE", "/containers/\(id)?force=1&v=1", accepted: [404])
  }
}
