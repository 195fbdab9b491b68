internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import IorunRuntime

/// Measures the ways to the nodes that the head names, in the background, and finds out where in the
/// network this node is (Vivaldi). Three small calls to each of a few nodes in ten seconds, and now and
/// then, where the head says so, some hundred kilobytes to one of them.
struct NodeProber: Sendable {
  let head: PeerID
  let registry: NodeRegistry
  let uplink: UplinkMonitor
  let system: MeshActorSystem

  private static let probes = 3
  private static let patience = Duration.seconds(2)
  /// How long bytes may be under way: a way that takes more is as good as none for a gang.
  private static let bulkPatience = Duration.seconds(20)
  /// The most bytes that are sent at once, whatever the head says.
  private static let mostBulk = 1 << 20
  /// Before the next try where the head did not answer.
  private static let pause = Duration.seconds(10)

  /// Measures until the task is cancelled.
  func run() async {
    var coordinate = NetworkCoordinate()
    var generator = SystemRandomNumberGenerator()
    var measured: [NodeMeasurements.Peer] = []
    while !Task.isCancelled {
      let report = NodeMeasurements(coordinate: coordinate, peers: measured)
      measured = []
      guard let orders = try? await registry.measured(report) else {
        // Cancelled: the loop's condition looks.
        try? await Task.sleep(for: Self.pause)
        continue
      }
      if let roundTrip = uplink.roundTrip {
        let milliseconds = roundTrip / .milliseconds(1)
        coordinate.update(
          towards: orders.landmark, measuredMilliseconds: Float(milliseconds), random: &generator)
        measured.append(.init(peer: head, milliseconds: [milliseconds]))
      }
      for target in orders.targets.prefix(8) {
        let samples = await probe(target.peer)
        let host = await hostMilliseconds(target.address)
        // The least of a few: what a busy machine adds is no distance.
        let least = samples.compactMap { $0 }.min()
        var throughput: Double?
        if let least, let bytes = target.bulkBytes {
          throughput = await megabitsPerSecond(to: target.peer, bytes, roundTrip: least)
        }
        measured.append(
          .init(
            peer: target.peer, milliseconds: samples, hostMilliseconds: host,
            megabitsPerSecond: throughput))
        if let least {
          coordinate.update(
            towards: target.coordinate, measuredMilliseconds: Float(least), random: &generator)
        }
      }
      let interval = Duration.milliseconds(max(1000, min(orders.intervalMilliseconds, 600_000)))
      try? await Task.sleep(for: interval * Double.random(in: 0.8...1.2))
    }
  }

  /// The least of a few round trips to a host: the mesh goes by the head, and gangs do not.
  private func hostMilliseconds(_ address: String?) async -> Double? {
    guard let address else { return nil }
    let probes = Self.probes
    let least = try? await Blocking.run { () -> Duration? in
      var least: Duration?
      for _ in 0..<probes {
        guard let trip = HostProbe.roundTrip(address, within: .seconds(1)) else { return least }
        least = min(trip, least ?? trip)
      }
      return least
    }
    return least.flatMap { $0 }.map { $0 / .milliseconds(1) }
  }

  /// How fast bytes go to a peer, the round trip taken off: the better of two tries, of which the
  /// first one also lets TCP find out how much the way holds.
  private func megabitsPerSecond(to peer: PeerID, _ count: Int, roundTrip milliseconds: Double)
    async -> Double?
  {
    guard count > 0, let bridge = try? NodeBridge.at(peer, using: system) else { return nil }
    let bytes = Data(count: min(count, Self.mostBulk))
    var best: Double?
    for _ in 0..<2 {
      let began = ContinuousClock.now
      let taken: Void? = try? await MeshActorSystem.$callTimeout.withValue(Self.bulkPatience) {
        try await bridge.absorb(bytes)
      }
      guard taken != nil else { break }
      let elapsed = (ContinuousClock.now - began) / .milliseconds(1)
      // A clock that says less than the round trip says nothing of the bytes.
      let moving = max(elapsed - milliseconds, elapsed / 10, 0.001)
      best = max(best ?? 0, Double(bytes.count) * 8 / 1000 / moving)
    }
    return best
  }

  private func probe(_ peer: PeerID) async -> [Double?] {
    guard let bridge = try? NodeBridge.at(peer, using: system) else { return [] }
    var samples: [Double?] = []
    // The first call makes the session, where there is none: it measures nothing.
    for number in 0...Self.probes {
      let began = ContinuousClock.now
      let answered: Void? = try? await MeshActorSystem.$callTimeout.withValue(Self.patience) {
        try await bridge.echo()
      }
      let elapsed = ContinuousClock.now - began
      if number > 0 { samples.append(answered == nil ? nil : elapsed / .milliseconds(1)) }
      if answered == nil { break }
    }
    return samples
  }
}
