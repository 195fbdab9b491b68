internal import Foundation
internal import IorunCore
internal import IorunSandbox

/// An agent that starts one sandbox and waits to be killed: `DRIVER PROGRAM FOLDER GROUP`. It prints
/// `ready` once a program in the sandbox says that it runs.
@main
enum SandboxAgent {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count == 5 else { exit(64) }
    let host = try SandboxHost(
      stateFolder: words[3] + "/state", groupName: words[4], groups: .current(), isRoot: true,
      stage: words[3] + "/stage")
    let driver: any SandboxDriver =
      words[1] == "bwrap"
      ? BubblewrapDriver(program: words[2], host: host) : OCIDriver(program: words[2], host: host)
    let scratch = try ScratchPool(folder: words[3] + "/scratch").open("lease", size: .mebi(16))
    let root = try HostRoot(at: words[3] + "/root")
    // A tree that would like to stay.
    let script = """
      for i in 1 2 3; do setsid sh -c 'trap "" TERM HUP; while :; do sleep 1000; done' & done
      echo secret > /job/file; echo ready; while :; do sleep 1000; done
      """
    let spec = SandboxSpec(
      name: "lease", root: root.folder, command: ["/bin/sh", "-c", script],
      limits: SandboxLimits(memory: .mebi(128), processes: 64, milliCPUs: 1000),
      environment: ["PATH": "/usr/bin:/bin"], scratch: scratch.path, binds: root.binds)
    let process = try await Blocking.run {
      try driver.launch(spec, streams: SandboxStreams(output: 1, errors: 2))
    }
    let end = await process.wait()
    print("ended \(end)")
    exit(1)
  }
}
