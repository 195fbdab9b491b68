internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// The way to a device, by numbers that it seals and sends back, and its disk, by its own word. They are
/// shown and decide nothing: a slow way, or a full disk, is no false claim of cores.
extension ProofDirector {
  /// Probes devices that compute nothing for a proof or a job, and were not probed lately.
  func probeConnections(_ alive: [PeerID: NodeSnapshot]) {
    let now = clock.elapsed()
    for (id, device) in devices {
      guard let node = alive[device.node], !device.isGPU, device.state.epoch != nil,
        !device.state.isOpen,
        !device.state.isHired, !device.isProbing,
        device.probedAt.map({ now - $0 >= settings.probePeriod }) ?? true
      else { continue }
      devices[id]?.isProbing = true
      devices[id]?.probedAt = now
      tasks.run { await self.probe(id, node) }
    }
  }

  private func probe(_ id: DeviceID, _ node: NodeSnapshot) async {
    let (echoes, disk) = (await echoes(id, node.id), await disk(of: node.id))
    devices[id]?.isProbing = false
    guard echoes != nil || disk != nil else { return }
    await note(id, node) { record, now in
      (record.echoes, record.disk, record.time) = (echoes, disk, now)
    }
  }

  /// Puts what was found on record, with what falls short.
  func note(
    _ id: DeviceID, _ node: NodeSnapshot,
    _ change: @Sendable (inout ConnectionRecord, _ now: Double) -> Void
  ) async {
    guard var device = devices[id] else { return }
    let now = clock.now()
    var record = device.record.connection ?? ConnectionRecord(time: now)
    change(&record, now)
    // Jobs and logs fill a disk: less than the share that counts of any claim is less than offered.
    let rule = ConnectionProfile.Rule()
    let offered = Double(node.facts.disk.rawValue) * rule.share
    let profile = ConnectionProfile(
      downMegabits: 0, upMegabits: 0, diskBytes: UInt64(min(max(0, offered), 1e18)))
    record.shortfalls = profile.shortfalls(
      rule: rule, echoes: record.echoes.map { [$0] } ?? [], download: record.line?.download,
      upload: record.line?.upload, disk: record.disk)
    device.record.connection = record
    devices[id] = device
    save(device)
    await flushLater()
  }

  private func echoes(_ id: DeviceID, _ node: PeerID) async -> EchoProbe.Result? {
    var probe = EchoProbe(id, epoch: epoch)
    do {
      let prover = try prover(node)
      while let request = try probe.next(nowNanoseconds: clock.elapsedNanoseconds()) {
        let reply = try await prover.echo(request, caller: head)
        try probe.take(reply, from: .anybody, nowNanoseconds: clock.elapsedNanoseconds())
      }
    } catch {
      logger.info("node \(node.short) echoes nothing: \(error)")
    }
    return probe.result
  }

  private func disk(of node: PeerID) async -> DiskProbe.Result? {
    do {
      let result = try await prover(node).disk(caller: head)
      return result.isPlausible ? result : nil
    } catch {
      logger.info("node \(node.short) does not measure its disk: \(error)")
      return nil
    }
  }
}
