internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// The lines of devices, by streams that only they can seal. One group of conflict at a time, and its
/// devices at the same instant: what they share, they share then as well, and the head's own line is
/// theirs alone.
extension ProofDirector {
  /// More of one group are measured one after the other: together they would measure the head's line.
  private static let linesAtOnce = 8

  /// Measures the group whose device has waited longest, if none is being measured.
  func measureLines(_ alive: [PeerID: NodeSnapshot]) {
    guard settings.stream > .zero, !isMeasuringLines else { return }
    let now = clock.elapsed()
    func mayBeAsked(_ device: Device) -> Bool {
      alive[device.node] != nil && !device.isGPU && device.state.epoch != nil
        && !device.state.isHired
    }
    func isDue(_ device: Device) -> Bool {
      mayBeAsked(device) && device.streamedAt.map { now - $0 >= settings.probePeriod } ?? true
    }
    guard devices.values.contains(where: isDue) else { return }
    let waiting = groups(alive).groups.compactMap { group -> (since: Duration, [Device])? in
      let members = group.compactMap { devices[$0] }
      // All that share a line are measured beside each other, none beside another's proof.
      let isTaken = members.contains { member in
        member.state.isOpen || member.isProbing || askingGPUs.contains(member.node)
          || (member.needsRun && !member.state.isHired)
      }
      guard !isTaken else { return nil }
      let since = members.lazy.filter(isDue).map { $0.streamedAt ?? .zero }.min()
      return since.map { ($0, members.filter(mayBeAsked)) }
    }
    guard let (_, next) = waiting.min(by: { $0.since < $1.since }) else { return }
    let members = next.sorted { ($0.streamedAt ?? .zero, $0.id) < ($1.streamedAt ?? .zero, $1.id) }
      .prefix(Self.linesAtOnce)
      .compactMap { device in alive[device.node].map { (device.id, $0) } }
    for (id, _) in members {
      devices[id]?.isProbing = true
      devices[id]?.streamedAt = now
    }
    (measured, linesGiveWay) = (Set(members.map(\.0)), false)
    tasks.run { await self.measureLines(of: members) }
  }

  private func measureLines(of members: [(DeviceID, NodeSnapshot)]) async {
    await withTaskGroup { group in
      for (id, node) in members {
        group.addTask { await self.measureLine(id, node, beside: members.count - 1) }
      }
    }
    measured = []
  }

  private func measureLine(_ id: DeviceID, _ node: NodeSnapshot, beside: Int) async {
    var line = ConnectionRecord.Line(
      download: nil, upload: nil, beside: beside, time: clock.now())
    do {
      let probe = LineProbe(
        device: id, epoch: epoch, prover: try prover(node.id), head: head, clock: clock,
        length: settings.stream
      ) { await self.mayBeMeasured(id) }
      line.download = try await probe.measure(.download)
      line.upload = try await probe.measure(.upload)
    } catch {
      logger.info("the line of node \(node.id.short) is not measured: \(error)")
      // What it gave way to is no fault of its: it is asked again afterwards.
      if !mayBeMeasured(id) { devices[id]?.streamedAt = nil }
    }
    devices[id]?.isProbing = false
    guard line.download != nil || line.upload != nil else { return }
    await note(id, node) { [line] record, _ in record.line = line }
  }

  /// False once jobs have it, or it proves something, or others wait to prove something beside it.
  private func mayBeMeasured(_ id: DeviceID) -> Bool {
    guard let state = devices[id]?.state else { return false }
    return !state.isHired && !state.isOpen && !linesGiveWay
  }
}
