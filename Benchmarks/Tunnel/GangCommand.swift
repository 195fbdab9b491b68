import ArgumentParser
import Foundation
import IorunContract
import IorunCore
import IorunTunnel
import IorunWorker
import Logging
import Synchronization

/// How long a gang waits for its network: the agent's own code, as many times as the gang has nodes.
struct GangCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gang",
    abstract: "Measures how long the network of a gang takes, by backend. Needs root.")

  @Option(help: "How many nodes the gang has.")
  var nodes = 8

  @Option(help: "How often to measure.")
  var rounds = 5

  @Flag(help: "Print JSON.")
  var json = false

  /// One backend's result, in milliseconds.
  private struct Row: Encodable {
    var backend: String
    var nodes: Int
    var rounds: Int
    var prepareMillisecondsMedian: Double
    var usableMillisecondsMedian: Double
    var usableMillisecondsWorst: Double
    var removeMillisecondsMedian: Double
  }

  func run() async throws {
    guard (2...200).contains(nodes), (1...1000).contains(rounds) else {
      throw ValidationError("nodes must be 2 to 200, rounds 1 to 1000")
    }
    var rows: [Row] = []
    for backend in DataPlaneProbe.standard {
      guard case .available = await backend.probe() else { continue }
      var measured: [(prepare: Double, usable: Double, remove: Double)] = []
      for round in 0..<rounds { measured.append(try await measure(backend, round)) }
      func median(_ value: (Int) -> Double) -> Double {
        measured.indices.map(value).sorted()[measured.count / 2]
      }
      rows.append(
        Row(
          backend: backend.name, nodes: nodes, rounds: rounds,
          prepareMillisecondsMedian: median { measured[$0].prepare },
          usableMillisecondsMedian: median { measured[$0].usable },
          usableMillisecondsWorst: measured.map(\.usable).max() ?? 0,
          removeMillisecondsMedian: median { measured[$0].remove }))
    }
    if json {
      let encoder = JSONEncoder()
      encoder.keyEncodingStrategy = .convertToSnakeCase
      encoder.outputFormatting = [.sortedKeys]
      print(String(decoding: try encoder.encode(["gangs": rows]), as: UTF8.self))
      return
    }
    print("network of a gang of \(nodes) nodes on this machine, median of \(rounds) rounds, ms")
    print("backend         prepared   every pair has a session (worst)   removed")
    for row in rows {
      let name = row.backend.padding(toLength: 14, withPad: " ", startingAt: 0)
      let usable =
        "\(Self.text(row.usableMillisecondsMedian)) (\(Self.text(row.usableMillisecondsWorst)))"
      print(
        "\(name)  \(Self.text(row.prepareMillisecondsMedian))      \(usable)        "
          + Self.text(row.removeMillisecondsMedian))
    }
  }

  private static func text(_ milliseconds: Double) -> String {
    String((milliseconds * 10).rounded() / 10)
  }

  /// Milliseconds from the first grant: until all are prepared, until every node has a session with
  /// every other; and from there until all is removed.
  private func measure(_ backend: any TunnelBackend, _ round: Int) async throws
    -> (prepare: Double, usable: Double, remove: Double)
  {
    let folder = NSTemporaryDirectory() + "/iorun-gang-bench-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let watch = DeviceWatch()
    let clock = ContinuousClock()
    let places = (0..<nodes).map { node in
      GangNetworks(
        backend: backend, paths: watch, facts: facts, addresses: { [] },
        stateFolder: "\(folder)/\(node)",
        logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
    }
    let grants = try (0..<nodes).map { try grant(node: $0, round: round) }
    let start = clock.now
    let members = try await withThrowingTaskGroup(of: (Int, TunnelMember).self) { group in
      for (node, place) in places.enumerated() {
        group.addTask {
          guard let member = try await place.prepare(grants[node]) else {
            throw IorunError(.internalFault, "a gang of several nodes has no tunnel")
          }
          return (node, member)
        }
      }
      return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    let prepared = clock.now
    let network = GangNetwork(
      presharedKey: [UInt8](repeating: 7, count: 32),
      members: members.sorted { $0.key < $1.key }.map(\.value), nodes: Array(0..<nodes))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (node, place) in places.enumerated() {
        group.addTask { _ = try await place.connect(grants[node].id, to: network) }
      }
      try await group.waitForAll()
    }
    while try await !watch.allHaveSessions(count: nodes - 1) {
      guard clock.now - start < .seconds(30) else {
        throw IorunError(.timedOut, "not every pair has a session after 30 s")
      }
      try await Task.sleep(for: .milliseconds(2))
    }
    let usable = clock.now
    await withTaskGroup { group in
      for (node, place) in places.enumerated() {
        group.addTask { await place.release(grants[node].id) }
      }
    }
    return (
      (prepared - start) / .milliseconds(1), (usable - start) / .milliseconds(1),
      (clock.now - usable) / .milliseconds(1)
    )
  }

  private func grant(node: Int, round: Int) throws -> LeaseGrant {
    var generator = SystemRandomNumberGenerator()
    guard let four = IPPrefix("100.64.\(round % 250).0/24"), let six = IPPrefix("fd00::/64") else {
      throw IorunError(.internalFault, "no network for the benchmark")
    }
    return LeaseGrant(
      id: LeaseID(job: JobID(using: &generator), attempt: 1, rank: node), epoch: 1,
      spec: JobSpec(
        name: "bench", entrypoint: .command(["true"]),
        gang: JobSpec.Gang(ranks: nodes, resources: ResourceSet())),
      workingFolder: nil, gpuIndices: [], localRank: 0, localWorldSize: 1,
      network: OverlaySeat(
        network: OverlayNetwork(four: four, six: six), node: node, nodeCount: nodes))
  }

  private var facts: NodeFacts {
    NodeFacts(
      name: "bench", hostname: "bench", address: "127.0.0.1", interface: "lo", milliCPUs: 1000,
      cpuModel: "", memory: .gibi(1), disk: .gibi(1), gpus: [], system: "", version: "")
  }
}

/// Direct ways, and a look at every tunnel on the side.
private final class DeviceWatch: GangPaths {
  private let devices = Mutex<[any TunnelDevice]>([])
  private let direct = DirectPaths()

  func announce(_ member: TunnelMember, of gang: GangID, device: any TunnelDevice) async
    -> TunnelMember
  {
    devices.withLock { $0.append(device) }
    return await direct.announce(member, of: gang, device: device)
  }

  func firstEndpoint(of peer: GangPeer, in gang: GangID) async -> TunnelEndpoint? {
    await direct.firstEndpoint(of: peer, in: gang)
  }

  func attach(_ gang: GangID, device: any TunnelDevice, own: Int, peers: [GangPeer]) async {}

  func detach(_ gang: GangID) async {}

  func allHaveSessions(count: Int) async throws -> Bool {
    for device in devices.withLock({ $0 }) {
      let counters = try await device.counters()
      if counters.values.count(where: { $0.sinceHandshake != nil }) < count { return false }
    }
    return true
  }
}
