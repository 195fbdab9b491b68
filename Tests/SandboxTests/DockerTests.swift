import CShim
import Foundation
import IorunCore
import SandboxSupport
import Synchronization
import TestSupport
import Testing

@testable import IorunSandbox

@Suite(.serialized) struct DockerTests {
  static let reason: Comment = "dockerd is missing, or does not start here: SKIPPED"

  private func driver(_ lab: SandboxLab) throws -> DockerDriver {
    DockerDriver(socket: try #require(DockerLab.shared).socket, host: lab.host)
  }

  @Test(
    "a Docker daemon passes the self-test", .enabled(if: DockerLab.shared != nil, reason))
  func selfTest() async throws {
    let lab = try SandboxLab("docker")
    defer { lab.remove() }
    let report = await lab.selfTest.run(try driver(lab))
    #expect(report.faults == [:])
    #expect(report.isFitForStrangers, "\(report)")
  }

  @Test(
    "a container reads, prints, writes to its scratch, is stopped, and leaves nothing",
    .enabled(if: DockerLab.shared != nil, reason))
  func streams() async throws {
    let lab = try SandboxLab("docker-io")
    defer { lab.remove() }
    let root = try HostRoot(at: lab.folder + "/root")
    let scratch = try MemoryScratch().open(at: lab.folder + "/scratch", size: .mebi(8))
    defer { try? scratch.close() }
    var pipe: [Int32] = [-1, -1]
    try #require(iorun_pipe(&pipe) == 0)
    let out = try SandboxCapture()
    let errors = try SandboxCapture()
    let script = """
      read line; echo "got $line"; echo oops >&2; echo kept > /job/file
      trap 'exit 3' TERM; while :; do sleep 0.05; done
      """
    let spec = SandboxSpec(
      name: "io", root: root.folder, command: ["/bin/sh", "-c", script],
      limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000),
      environment: ["PATH": "/usr/bin:/bin"], scratch: scratch.path, binds: root.binds)
    let driver = try driver(lab)
    let process = try driver.launch(
      spec,
      streams: SandboxStreams(
        input: pipe[0], output: out.streams.output, errors: errors.streams.output))
    close(pipe[0])
    write(pipe[1], "word\n", 5)
    let deadline = ContinuousClock.now + .seconds(30)
    while access(scratch.path + "/job/file", F_OK) != 0, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(10))
    }
    try process.freeze(true)
    try process.freeze(false)
    process.terminate()
    let end = await process.wait()
    close(pipe[1])
    #expect(end.cause == .exited(status: 3))
    #expect(end.wasAsked)
    #expect(try out.text(limit: 100) == "got word\n")
    #expect(try errors.text(limit: 100) == "oops\n")
    #expect(try String(contentsOfFile: scratch.path + "/job/file", encoding: .utf8) == "kept\n")
  }

  @Test(
    "what a dead agent left in a daemon is removed by the next one",
    .enabled(if: DockerLab.shared != nil, reason))
  func leftovers() async throws {
    let lab = try SandboxLab("docker-left")
    defer { lab.remove() }
    let root = try HostRoot(at: lab.folder + "/root")
    let capture = try SandboxCapture()
    let driver = try driver(lab)
    let process = try driver.launch(
      SandboxSpec(
        name: "left", root: root.folder, command: ["/bin/sh", "-c", "sleep 1000"],
        limits: SandboxLimits(memory: .mebi(64), milliCPUs: 1000),
        environment: ["PATH": "/usr/bin:/bin"], binds: root.binds), streams: capture.streams)
    try driver.removeLeftovers()
    let end = await process.wait()
    #expect(!end.cause.isSuccess)
    let socket = try #require(DockerLab.shared).socket
    let list = try DockerEngine(socket: socket).request("GET", "/containers/json?all=1").body
    #expect(!String(decoding: list, as: UTF8.self).contains(lab.groupName))
  }

  @Test("answers that are no HTTP are refused", arguments: [1, 2, 3] as [UInt64])
  func damaged(seed: UInt64) throws {
    let good = Array(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n"
        .utf8)
    #expect(try DockerEngine.parse(good).body == Array("{\"a\":1}".utf8))
    #expect(
      try DockerEngine.parse(Array("HTTP/1.1 404 No\r\n\r\nx".utf8)).status == 404)
    for text in ["", "HTTP/1.1 200", "nothing\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n"] {
      #expect(throws: IorunError.self) { try DockerEngine.parse(Array(text.utf8)) }
    }
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      var bad = good
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        bad[Int.random(in: 0..<bad.count, using: &generator)] = UInt8.random(
          in: 0 ... .max, using: &generator)
      }
      bad.removeLast(Int.random(in: 0..<bad.count, using: &generator))
      do {
        #expect(try DockerEngine.parse(bad).body.count <= bad.count)
      } catch let error as IorunError {
        #expect(error.code == .sandboxFailed)
      }
    }
  }

  @Test("a daemon that is not there is named")
  func missing() async throws {
    let lab = try SandboxLab("docker-none")
    defer { lab.remove() }
    let report = await lab.selfTest.run(
      DockerDriver(socket: lab.folder + "/none", host: lab.host))
    #expect(report.faults["launch"]?.contains("no Docker daemon answers") == true)
    #expect(!report.isFitForStrangers)
  }

  @Test(
    "the guard removes somebody else's container before it starts, and neither its own nor what is allowed",
    .enabled(if: DockerLab.shared != nil, reason))
  func guarding() async throws {
    let engine = DockerEngine(socket: try #require(DockerLab.shared).socket)
    var tar = Tar()
    tar.add("x", content: [1])
    for image in ["foreign", "backup"] {
      try engine.request(
        "POST", "/images/create?fromSrc=-&repo=\(image)&tag=1", body: tar.archive,
        type: "application/x-tar")
    }
    struct Wish: Encodable {
      var Image: String
      var Cmd = ["/x"]
      var Labels: [String: String] = [:]
    }
    struct Made: Decodable { var Id: String }
    func make(_ image: String, group: String? = nil) throws -> String {
      let labels = group.map { [DockerDriver.label: $0] } ?? [:]
      return try engine.request(
        "POST", "/containers/create", sending: Wish(Image: image + ":1", Labels: labels),
        for: Made.self
      ).Id
    }
    func isThere(_ id: String) throws -> Bool {
      try engine.request("GET", "/containers/\(id)/json", accepted: [404]).status == 200
    }
    func remove(_ id: String) {
      _ = try? engine.request("DELETE", "/containers/\(id)?force=1&v=1", accepted: [404])
    }
    for isDry in [true, false] {
      let incidents = Mutex<[GuardIncident]>([])
      let watch = DockerGuard(
        socket: engine.socket,
        GuardPolicy(
          mode: .exclusive, isDryRun: isDry, allowedPrograms: ["backup:1"], stopsPerMinute: 2),
        groupName: "ours", report: { incident in incidents.withLock { $0.append(incident) } })
      let deadline = ContinuousClock.now + .seconds(30)
      while !watch.isListening, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(5))
      }
      let own = try make("foreign", group: "ours")
      let allowed = try make("backup")
      let foreign = try (0..<3).map { _ in try make("foreign") }
      while incidents.withLock({ $0.count }) < 3, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(5))
      }
      await watch.stop()
      let seen = incidents.withLock { $0 }
      #expect(seen.map(\.facts.groups) == foreign.map { "/docker/\($0)" })
      #expect(seen.allSatisfy { $0.facts.program == "foreign:1" && $0.kind == .container })
      #expect(try isThere(own) && isThere(allowed))
      // Two a minute are removed; a dry run removes none.
      #expect(try foreign.map(isThere) == (isDry ? [true, true, true] : [false, false, true]))
      #expect(seen.count { $0.decision == .stop } == (isDry ? 0 : 2), "\(seen)")
      for id in [own, allowed] + foreign { remove(id) }
    }
  }

  @Test("without a daemon the guard waits for one, and ends when it is told to")
  func absent() async throws {
    let watch = DockerGuard(
      socket: "/no/such/socket", GuardPolicy(mode: .exclusive), groupName: "x", report: { _ in })
    #expect(!watch.isListening)
    await watch.stop()
  }

  @Test("events are read whole, however they come in pieces, and what are none is refused")
  func events() throws {
    let id = String(repeating: "0a", count: 32)
    let line =
      #"{"Action":"create","Actor":{"ID":"\#(id)","Attributes":{"image":"a:1","iorun.group":"g"}}}"#
      + "\n"
    let chunk = Array((String(line.utf8.count, radix: 16) + "\r\n" + line + "\r\n").utf8)
    for size in [1, 2, 7, chunk.count * 2] {
      var chunks = DockerChunks()
      var body: [UInt8] = []
      let all = chunk + chunk
      for start in stride(from: 0, to: all.count, by: size) {
        body += try chunks.add(all[start..<min(start + size, all.count)])
      }
      #expect(String(decoding: body, as: UTF8.self) == line + line)
    }
    let event = try #require(DockerEvents.container(Array(line.utf8)))
    #expect(event == .init(id: id, image: "a:1", group: "g"))
    for other in [
      line.replacingOccurrences(of: "create", with: "start"),
      line.replacingOccurrences(of: id, with: "../images/x"), "{", "[]",
    ] {
      #expect(DockerEvents.container(Array(other.utf8)) == nil, "\(other)")
    }
    for bad in ["zz\r\n", "-1\r\n", "ffffffff\r\n", String(repeating: "0", count: 40) + "\r\n"] {
      var chunks = DockerChunks()
      #expect(throws: IorunError.self) { try chunks.add(Array(bad.utf8)) }
    }
  }
}
