import CShim
import Foundation
import IorunCore
import SandboxSupport
import Testing

@testable import IorunSandbox

/// The attempts of `EscapeTests` in a sandbox that has a network: what lies beyond it is the internet,
/// and nothing else is more open than without one.
@Suite(.serialized) struct EgressEscapeTests {
  static let compiler = ["cc", "gcc", "clang"].compactMap { SandboxLab.find($0) }.first
  static let driver = SandboxLab.find("bwrap")

  @Test(
    "with a network to the internet, the internet is all that can be reached",
    .enabled(
      if: EgressLab.canRun && compiler != nil && driver != nil,
      "root, nft, ip, tc, bwrap or a C compiler is missing: SKIPPED"))
  func escapes() async throws {
    let net = try EgressLab(others: ["1.1.1.1", "10.0.0.1", "169.254.169.254"])
    let router = try EgressRouter(outside: ["uplink"], resolvers: [], network: net.host)
    defer { router.close() }
    let network = try EgressNetwork(.internet(members: []), router: router)
    defer { network.close() }
    var listeners: [Int32] = []
    defer { for listener in listeners { close(listener) } }
    for (text, port) in [("1.1.1.1", 443), ("10.0.0.1", 80), ("169.254.169.254", 80)] {
      let address = try #require(IPAddress(text))
      listeners.append(
        try ResolverSocket.listener(
          at: SocketAddress(address, port: UInt16(port)), in: net.world))
    }
    let lab = try SandboxLab("net")
    defer { lab.remove() }
    let root = lab.folder + "/root"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().path
    _ = try HelperProgram.run(
      (try #require(Self.compiler) as NSString).lastPathComponent,
      [
        "-static", "-O1", "-o", root + "/attempts", source + "/EscapeTests/Attempts/attempts.c",
      ])
    let scratch = try MemoryScratch().open(at: lab.folder + "/scratch", size: .mebi(8))
    defer { try? scratch.close() }
    let limits = SandboxLimits(
      memory: .mebi(64), processes: 48, milliCPUs: 1000, temporary: .mebi(4),
      sharedMemory: .mebi(2), openFiles: 256)
    let spec = SandboxSpec(
      name: "escape-net", root: root, command: ["/attempts"], limits: limits,
      environment: [
        "HOST_SECRET": lab.folder + "/secret", "HOST_PID": "\(getpid())", "HOST_PORT": "22",
        "HOST_ABSTRACT": "iorun-\(getpid())", "HOST_SHM": "\(getpid())",
        "HOST_GROUP": lab.groupName, "JOB_SECRET": "only-in-the-environment",
        "LIMIT_PROCESSES": "\(limits.processes)", "LIMIT_MEMORY": "\(limits.memory.rawValue)",
        "LIMIT_TMP": "\(limits.temporary.rawValue)", "LIMIT_SHM": "\(limits.sharedMemory.rawValue)",
        "LIMIT_JOB": "\(8 << 20)",
      ], scratch: scratch.path, network: .namespace(network.namespace))
    let capture = try SandboxCapture()
    let process = try await Blocking.run {
      try BubblewrapDriver(program: try #require(Self.driver), host: lab.host)
        .launch(spec, streams: capture.streams)
    }
    let watchdog = Task {
      try await Task.sleep(for: .seconds(60))
      process.kill()
    }
    let end = await process.wait()
    watchdog.cancel()
    let lines = try capture.text(limit: 64 << 10).split(separator: "\n").map(String.init)
    #expect(lines.filter { $0.hasSuffix("ALLOWED") } == ["9 public-address ALLOWED"])
    #expect(lines.last == "done", "\(end) after: \(lines.suffix(3))")
  }
}
