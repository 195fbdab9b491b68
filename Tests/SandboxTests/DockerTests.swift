import CShim
import Foundation
import IorunCore
import SandboxSupport
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
}
