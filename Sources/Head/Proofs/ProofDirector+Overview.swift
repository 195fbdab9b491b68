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
    return nodes.flatMap { node -> [DeviceStatus] in
      guard role != .supplier || authoriser.mayReach(node.id, caller) else { return [] }
      let own = deviceOf[node.id].flatMap { devices[$0] }
      let gpus = node.facts.gpus.enumerated().map { index, gpu in
        (
          gpusOf[node.id]?.lazy.compactMap { self.devices[$0] }.first {
            $0.record.profile.gpu?.uuid == gpu.uuid
          }, "\(node.facts.name)/gpu\(index)", node.gpuMarks[gpu.uuid]
        )
      }
      return ([(own, node.facts.name, node.mark)] + gpus).compactMap { device, name, mark in
        device.map { status($0, named: name, mark) }
      }
    }
  }

  private func status(_ device: Device, named name: String, _ mark: DeviceMark?) -> DeviceStatus {
    DeviceStatus(
      device: device.id, node: device.node, nodeName: name, mark: mark ?? DeviceMark(),
      isHired: device.state.isHired, profile: device.record.profile,
      capabilities: Dictionary(
        device.state.kinds.map { ($0, device.state.capabilities[$0] ?? .undecided) },
        uniquingKeysWith: { $1 }),
      connection: device.record.connection,
      latest: (latest[device.id] ?? [:]).values.sorted {
        $0.verdict.kind.rawValue < $1.verdict.kind.rawValue
      })
  }
}

/// What the HTTP interface asks: its callers have its token, and seal what counts.
extension ProofDirector {
  /// The node that is a device. Throws `notFound`.
  func node(of id: DeviceID) throws -> PeerID {
    guard let device = devices[id] else {
      throw IorunError(
        .notFound, "no device \(id) is known", remedy: "Join its node to this network first")
    }
    return device.node
  }

  /// The challenge that is open for a device; `nil` where none is.
  func openChallenge(of id: DeviceID) throws -> Challenge? {
    _ = try node(of: id)
    return devices[id]?.open?.challenge
  }

  /// What is on record of a device. Throws `notFound`.
  func record(of id: DeviceID) async throws -> DeviceStatus {
    guard let status = try await visible(to: head).first(where: { $0.device == id }) else {
      throw IorunError(.notFound, "no device \(id) is known", remedy: "Join its node first")
    }
    return status
  }

  /// Whether a candidate would be accepted now. Keeps nothing of it.
  func check(_ proof: Proof) async throws -> Verdict {
    let (verifier, epoch) = (Verifier(secrets.issuer), epoch)
    let arrival = Int64(clock.now() * 1000)
    return try await Blocking.run {
      try verifier.verdict(
        on: proof, from: .anybody, epoch: epoch, arrivalMilliseconds: arrival)
    }
  }
}
