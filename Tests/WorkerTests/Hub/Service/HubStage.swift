import Foundation
import IorunContract
import IorunCore
import IorunMesh
import IorunRuntime
import IorunWire
import Logging

@testable import IorunWorker

/// A hub of its own for one test: its socket, its thread, and a head that does as it is told.
final class HubStage: Sendable {
  let folder: TemporaryFolder
  let cluster = FakeCluster()
  let node: NodeID
  private let hub: RuntimeHub
  private let system: MeshActorSystem
  // Distributed actors live as long as somebody holds them.
  private let control: ClusterControl

  init(
    resources: [String: Double] = ["CPU": 2], gpus: Int = 0, arena: Int64 = 16 << 20,
    helloLimit: Duration = .seconds(10), versions: ProtocolVersions = LocalLimits.versions,
    memory: MemoryPressure.Settings = .init(),
    readFile: @escaping @Sendable (String) -> String? = { _ in nil }
  ) async throws {
    folder = try TemporaryFolder()
    var generator = SystemRandomNumberGenerator()
    let peer = PeerID(high: generator.next(), low: generator.next())
    node = NodeID(peer)
    let cluster = cluster
    let system = MeshActorSystem(transport: InProcessNetwork().join(peer))
    control = system.named(ClusterControl.wellKnownName) {
      ClusterControl(cluster, actorSystem: system)
    }
    self.system = system
    let mailbox = try HubMailbox()
    var amounts = resources
    if gpus > 0 { amounts["GPU"] = Double(gpus) }
    var settings = HubSettings(
      folder: folder.path, node: node, name: "node-1", address: "127.0.0.1",
      headAddress: "127.0.0.1:1", total: try ResourceAmounts(amounts: amounts), gpuCount: gpus,
      labels: [:], spillFolder: folder.path + "/spill", arenaBytes: arena,
      launcher: RuntimeLauncher(
        supervisor: RealProcesses.supervisor, searchPath: "/usr/bin:/bin", logLimit: .mebi(1)))
    settings.helloLimit = helloLimit
    settings.versions = versions
    settings.memory = memory
    settings.readFile = readFile
    cluster.state.withLock {
      $0.bridge = HubBridge(
        mailbox: mailbox, head: peer, files: DriverFiles(mailbox: mailbox))
    }
    hub = try RuntimeHub(
      settings: settings, mailbox: mailbox, cluster: control, system: system,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    await hub.register(Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// The head has been silent for too long.
  func fence() { hub.fence(reason: "the head was silent") }

  /// Asks as the head does for a lease of one core for a job whose driver is on another node. Nothing
  /// that `launcher` starts says hello: the answer never comes as long as it lives.
  func lease(foreign job: JobID, launcher: RuntimeJob.Launcher) -> Task<RuntimeLease, any Error> {
    var generator = SystemRandomNumberGenerator()
    let driver = ProcessAddress(
      node: NodeID(PeerID(high: 1, low: 2)), worker: WorkerID(using: &generator))
    let record = RuntimeJob(
      job: job, name: "far", namespace: "far", driver: driver, launcher: launcher, startedAt: 0)
    let (bridge, head) = (cluster.state.withLock { $0.bridge }, node.peer)
    return Task {
      guard let bridge else { throw CancellationError() }
      return try await bridge.grantLease(
        RuntimeDemand(resources: try ResourceAmounts(amounts: ["CPU": 1])), job: record,
        holder: driver, caller: head)
    }
  }

  /// Ends the hub and everything it started.
  func stop() async {
    await hub.stop()
    await system.shutdown(within: .zero)
  }

  /// A connection that has said nothing.
  func connect() throws -> ScriptedProcess { try ScriptedProcess(hub.socketPath) }

  /// A driver whose zygote the test plays: its launcher writes its environment into a file.
  func driver() async throws -> ScriptedProcess {
    let process = try connect()
    var generator = SystemRandomNumberGenerator()
    let worker = WorkerID(using: &generator)
    let script =
      "cd \(folder.path) && env > zygote.tmp && mv zygote.tmp zygote; exec sleep 600"
    let answer = try await process.request(
      .hello,
      """
      {"protocol":1,"sdk":"test","role":"driver","worker":"\(worker)","pid":1,"namespace":"ns",
       "launcher":{"argv":["/bin/sh","-c","\(script)"],"environment":{},"cwd":"/","kind":"zygote"}}
      """)
    process.worker = worker
    process.job = answer["job"] as? String ?? ""
    return process
  }

  /// A driver that starts nothing until it is given a lease, and nothing of use then.
  func bystander() async throws -> ScriptedProcess {
    let process = try connect()
    var generator = SystemRandomNumberGenerator()
    process.worker = WorkerID(using: &generator)
    let answer = try await process.request(
      .hello,
      """
      {"protocol":1,"sdk":"test","role":"driver","worker":"\(process.worker)","pid":1,
       "launcher":{"argv":["/bin/false"],"environment":{},"cwd":"/","kind":"program"}}
      """)
    process.job = answer["job"] as? String ?? ""
    return process
  }

  /// The zygote that the hub has started for the driver's job.
  func zygote() async throws -> ScriptedProcess {
    let text = try await eventually("the zygote's environment") { self.folder.read("zygote") }
    var variables: [String: String] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1)
      if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
    }
    let process = try connect()
    process.token = variables["IORUN_TOKEN"] ?? ""
    process.job = variables["IORUN_JOB_ID"] ?? ""
    _ = try await process.request(
      .hello,
      """
      {"protocol":1,"role":"zygote","job":"\(process.job)","token":"\(process.token)",
       "environment":"","pid":1}
      """)
    return process
  }

  /// The next worker that the zygote is asked to fork, as if it had.
  func fork(by zygote: ScriptedProcess) async throws -> ScriptedProcess {
    let order = try await zygote.event(.fork)
    let worker = order["worker"] as? String ?? ""
    let process = try connect()
    process.worker = WorkerID(worker) ?? process.worker
    _ = try await process.request(
      .hello,
      """
      {"protocol":1,"role":"worker","worker":"\(worker)","job":"\(zygote.job)",
       "token":"\(zygote.token)","pid":1}
      """)
    return process
  }
}
