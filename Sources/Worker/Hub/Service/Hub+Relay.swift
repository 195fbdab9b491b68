internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// Parcels of a job to one other node: the stream, and who waits for it.
final class HubStream {
  var sender: RelaySender
  var pausedSenders: Set<UInt64> = []

  init(stream: UInt64) { sender = RelaySender(stream: stream) }
}

extension HexID {
  /// Reads the 16 bytes at `offset`, which must be there.
  init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    self.init(
      high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
      low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
  }

  /// Appends the 16 bytes.
  func append(to bytes: inout [UInt8]) {
    withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { bytes.append(contentsOf: $0) }
  }
}

extension Hub {
  /// The source of parcels that a hub itself sends: whole frames for the destination, unwrapped.
  static let hubSource = WorkerID(high: 0, low: 0)

  /// A process's parcel: to a process here it goes at once, to another node into that node's stream.
  /// The frames are copied once and not looked into.
  func relay(
    _ body: UnsafeRawBufferPointer, from process: HubProcess, _ connection: HubConnection
  ) throws {
    guard body.count >= LocalLimits.relayAddressBytes else {
      throw IorunError(.malformed, "a relay of \(body.count) bytes names no destination")
    }
    let node = NodeID(body, at: 0)
    let worker = WorkerID(body, at: 16)
    let frames = UnsafeRawBufferPointer(rebasing: body[LocalLimits.relayAddressBytes...])
    // Whoever called from another job is answered in that one.
    let job = process.callers[worker].flatMap { jobs[$0.job] } ?? process.job
    if node == settings.node {
      let full = deliver(
        frames, to: worker, of: job, from: ProcessAddress(node: node, worker: process.worker))
      if let full { pause(connection, for: full) }
      return
    }
    if let cause = job.lost[worker] {
      event(.peerLost, to: connection, PeerLost(worker: worker, node: node, cause: cause))
      return
    }
    send(
      RelayParcel(source: process.worker, destination: worker, frames: [UInt8](frames)), to: node,
      of: job)
    if let stream = job.streams[node], stream.sender.waitingBytes > LocalLimits.waitingBytes,
      stream.pausedSenders.insert(connection.id).inserted
    {
      connection.pauses += 1
    }
  }

  /// Puts frames into a process's queue. Returns its connection where that has too much waiting. To a
  /// process that is gone the source is told so.
  @discardableResult
  func deliver(
    _ frames: UnsafeRawBufferPointer, to worker: WorkerID, of job: HubJob,
    from source: ProcessAddress
  ) -> HubConnection? {
    let isFromHub = source.worker == Self.hubSource
    let count = isFromHub ? frames.count : LocalHeader.byteCount + 32 + frames.count
    func write(_ bytes: inout [UInt8]) {
      if !isFromHub {
        LocalHeader(kind: .relay, bodyCount: 32 + frames.count).append(to: &bytes)
        source.node.append(to: &bytes)
        source.worker.append(to: &bytes)
      }
      bytes.append(contentsOf: frames)
    }
    func written() -> [UInt8] {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(count)
      write(&bytes)
      return bytes
    }
    guard let process = job.processes[worker] ?? namedActor(worker), !process.isGone else {
      // The head's order to make an actor may still be on its way.
      if job.lost[worker] == nil, source.node != settings.node, !job.isOver,
        job.strays.add(written(), to: worker, from: source, .now)
      {
        return nil
      }
      let cause =
        job.lost[worker] ?? ProcessLoss(.processLost, "there is no process \(worker) on this node")
      tell(source, of: job, lost: ProcessAddress(node: settings.node, worker: worker), cause)
      return nil
    }
    if process.job !== job, process.callers.count < Self.callersLimit {
      process.callers[source.worker] = (job.id, source)
    }
    guard let connection = process.connection else {
      // Promised: it will say hello.
      process.early.append(written())
      process.earlyBytes += count
      if process.earlyBytes > LocalLimits.waitingBytes {
        process.order = ("more than 256 MiB waited for it before it was there", false, false)
        gone(process)
      }
      return nil
    }
    connection.outgoing.append(about: count, write)
    touch(connection)
    return connection.outgoing.byteCount > LocalLimits.waitingBytes ? connection : nil
  }

  /// So many processes of other jobs are answered by one actor.
  private static let callersLimit = 65_536

  /// An actor of another job, which found it by its name.
  private func namedActor(_ worker: WorkerID) -> HubProcess? {
    for job in jobs.values {
      guard let process = job.processes[worker] else { continue }
      return process.actor?.spec.name.isEmpty == false ? process : nil
    }
    return nil
  }

  /// Queues a parcel for another node.
  func send(_ parcel: RelayParcel, to node: NodeID, of job: HubJob) {
    let stream: HubStream
    if let present = job.streams[node] {
      stream = present
    } else {
      stream = HubStream(stream: .random(in: 1 ... .max))
      job.streams[node] = stream
    }
    job.partners.insert(node)
    stream.sender.append(parcel)
    // At the end of the turn, so that what comes in one turn shares a segment.
    isPumpDue = true
    if !pumpLater.contains(where: { $0 == (job.id, node) }) { pumpLater.append((job.id, node)) }
  }

  /// Sends what the windows allow.
  func pumpStreams() {
    isPumpDue = false
    let due = pumpLater
    pumpLater = []
    for (job, node) in due { pump(job, node) }
  }

  private func pump(_ id: JobID, _ node: NodeID) {
    guard let job = jobs[id], let stream = job.streams[node] else { return }
    while let segment = stream.sender.next() { send(segment, id, node) }
    guard stream.sender.waitingBytes < LocalLimits.waitingBytes / 2 else { return }
    let senders = stream.pausedSenders
    stream.pausedSenders = []
    for sender in senders { resume(sender) }
  }

  private func send(_ segment: RelaySender.Segment, _ id: JobID, _ node: NodeID) {
    let bytes = Data(segment.bytes)
    callNode(node) {
      try await $0.deliver(id, bytes)
    } done: { hub, result in
      guard let stream = hub.jobs[id]?.streams[node] else { return }
      switch result {
      case .success:
        stream.sender.delivered(segment.sequence)
        hub.pump(id, node)
      case .failure(let error):
        // Until the head says that the node is lost, it may be back.
        hub.logger.info("a segment to node \(node) is sent again: \(error)")
        hub.after(.milliseconds(200)) { $0.sendAgain(segment, id, node) }
      }
    }
  }

  private func sendAgain(_ segment: RelaySender.Segment, _ id: JobID, _ node: NodeID) {
    guard jobs[id]?.streams[node] != nil else { return }
    send(segment, id, node)
  }

  /// A segment of another node's stream. `done` is called once there is room for more.
  ///
  /// - Throws: `malformed`.
  func received(
    _ segment: Data, of id: JobID, from node: NodeID, done: @escaping @Sendable () -> Void
  ) throws {
    let bytes = [UInt8](segment)
    guard let job = jobs[id] else {
      // A job that is over here has nobody who waits for parcels; of a new one the head's word may
      // still be on its way.
      guard !endedJobs.contains(id), earlySegments.add((bytes, node, done), of: id, .now) else {
        return done()
      }
      learn(of: id)
      return
    }
    try take(bytes, of: job, from: node, done: done)
  }

  /// A process of a job without a process here speaks to this node: it calls a named actor of another
  /// job, or the head's order to begin has yet to come.
  private func learn(of id: JobID) {
    guard earlySegments.count(of: id) == 1 else { return }
    callHead(within: .seconds(10)) {
      try await $0.job(id)
    } done: { hub, result in
      do {
        _ = try hub.makeJob(try result.get())
      } catch {
        hub.logger.info("parcels of job \(id), of which the head does not know: \(error)")
      }
    }
  }

  /// A job is known now: what came for it before.
  func takeEarlySegments(of job: HubJob) {
    for segment in earlySegments.take(job.id) {
      do {
        try take(segment.bytes, of: job, from: segment.node, done: segment.done)
      } catch {
        logger.warning("a segment of job \(job.id) was not taken: \(error)")
        segment.done()
      }
    }
  }

  private func take(
    _ segment: [UInt8], of job: HubJob, from node: NodeID, done: @escaping @Sendable () -> Void
  ) throws {
    job.partners.insert(node)
    let parcels = try job.inbound[node, default: RelayReceiver()].receive(segment)
    var full: HubConnection?
    for parcel in parcels {
      let connection = parcel.frames.withUnsafeBytes {
        deliver(
          $0, to: parcel.destination, of: job,
          from: ProcessAddress(node: node, worker: parcel.source))
      }
      full = connection ?? full
    }
    if let full { full.waitingDeliveries.append(done) } else { done() }
  }

  /// The worker is promised: what came for it before waits for its hello.
  func takeStrays(of process: HubProcess) {
    guard let strays = process.job.strays.take(process.worker) else { return }
    process.early += strays.frames
    process.earlyBytes += strays.bytes
  }

  /// Who sent parcels to processes that do not come hears so.
  func tidyStrays(_ now: ContinuousClock.Instant) {
    for segment in earlySegments.takeLate(now) { segment.done() }
    for job in jobs.values where !job.strays.isEmpty {
      for (worker, entry) in job.strays.takeLate(now) {
        let cause = ProcessLoss(.processLost, "there is no process \(worker) on this node")
        for source in entry.sources {
          tell(source, of: job, lost: ProcessAddress(node: settings.node, worker: worker), cause)
        }
      }
    }
  }

  // MARK: Losses

  /// Tells one process that another is gone.
  func tell(
    _ process: ProcessAddress, of job: HubJob, lost: ProcessAddress, _ cause: ProcessLoss
  ) {
    guard process.worker != Self.hubSource else { return }
    if process.node == settings.node {
      guard let connection = job.processes[process.worker]?.connection else { return }
      event(
        .peerLost, to: connection, PeerLost(worker: lost.worker, node: lost.node, cause: cause))
      return
    }
    let id = job.id
    callNode(process.node) {
      try await $0.processLost(id, lost, cause)
    } done: { hub, result in
      hub.noted("a node was not told of a lost process")(hub, result)
    }
  }

  /// A process is gone, here or elsewhere: every process of the job here hears of it.
  func announce(_ lost: ProcessAddress, of job: HubJob, _ cause: ProcessLoss) {
    guard job.remember(lost: lost.worker, cause) else { return }
    let told = PeerLost(worker: lost.worker, node: lost.node, cause: cause)
    for process in job.processes.values {
      guard let connection = process.connection else { continue }
      event(.peerLost, to: connection, told)
    }
  }
}

/// The event of that name.
struct PeerLost: Encodable {
  var worker: WorkerID
  var node: NodeID
  var cause: ProcessLoss
}
