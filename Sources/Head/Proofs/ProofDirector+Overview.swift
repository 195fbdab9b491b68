internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW

/// What the records say, for people.
extension ProofDirector {
  private static let mostEntries = 1000

  func status(caller: PeerID) async throws -> ProofStatus {
    try authoriser.check(caller, may: .seeNetwork)
    let (epoch, log) = (epoch, try await store.latestVerdictLog())
    return ProofStatus(
      mode: settings.mode, epoch: epoch, verifierKey: secrets.signer.publicKey,
      nextBeaconCommitment: try secrets.beacon(of: epoch + 1).commitment,
      beacon: windowEpoch == epoch ? try secrets.beacon(of: epoch) : nil, latestLog: log,
      devices: try await visible(to: caller))
  }

  func history(_ reference: String, limit: Int, caller: PeerID) async throws -> DeviceHistory {
    try authoriser.check(caller, may: .seeNetwork)
    let all = try await visible(to: caller)
    var found = all.filter { $0.nodeName == reference }
    if found.isEmpty, reference.utf8.count >= 4 {
      found = all.filter {
        $0.device.description.hasPrefix(reference) || $0.node.description.hasPrefix(reference)
      }
    }
    guard let device = found.first, found.count == 1 else {
      throw IorunError(
        .notFound,
        found.isEmpty
          ? "no device '\(reference.prefix(80))' is known"
          : "'\(reference.prefix(80))' fits \(found.count) devices",
        remedy: "List them with `iorun pow status`")
    }
    let limit = min(max(1, limit), Self.mostEntries)
    let transitions = try await store.transitions(of: device.device, limit: limit)
    return DeviceHistory(
      device: device, transitions: transitions,
      verdicts: try await store.verdicts(of: device.device, limit: limit),
      logs: try await store.verdictLogs(of: Set(transitions.map(\.entry.epoch))))
  }

  /// Devices that a caller may see: a supplier's own, everybody's for others. Marks are those on disk.
  private func visible(to caller: PeerID) async throws -> [DeviceStatus] {
    let nodes = await directory.snapshot()
    let role = authoriser.peers.role(of: caller)
    return nodes.compactMap { node in
      guard let id = deviceOf[node.id], let device = devices[id],
        role != .supplier || authoriser.mayReach(node.id, caller)
      else { return nil }
      return DeviceStatus(
        device: id, node: node.id, nodeName: node.facts.name, mark: node.mark ?? DeviceMark(),
        isHired: device.state.isHired, profile: device.record.profile,
        latest: (latest[id] ?? [:]).values.sorted {
          $0.verdict.kind.rawValue < $1.verdict.kind.rawValue
        })
    }
  }
}
