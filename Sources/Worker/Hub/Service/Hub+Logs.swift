internal import Foundation
internal import Glibc
internal import IorunCore
internal import IorunWire

/// Lines of a worker, for the job's driver.
private struct LogLines: Encodable {
  var worker: WorkerID
  var pid: Int32
  var node: NodeID
  var name: String
  var stream: String
  var lines: [String]
  var dropped: Int
}

extension Hub {
  /// What may wait for a driver before lines are dropped and counted.
  private static let waitingLogBytes = 4 << 20

  /// What a worker printed: into its file, and to the driver.
  func output(_ lines: [String], dropped: Int, stream: String, of worker: WorkerID, _ job: HubJob) {
    var text: [UInt8] = []
    for line in lines { text += Array(line.utf8) + [UInt8(ascii: "\n")] }
    append(text, to: "\(job.logs)/worker-\(worker).\(stream)")
    let process = job.processes[worker]
    let told = LogLines(
      worker: worker, pid: process?.pid ?? 0, node: settings.node,
      name: process?.actor?.spec.className ?? "", stream: stream, lines: lines,
      dropped: dropped + job.droppedLines)
    let driver = job.record.driver
    if driver.node == settings.node {
      guard let connection = job.processes[driver.worker]?.connection else { return }
      guard connection.outgoing.byteCount < Self.waitingLogBytes else {
        job.droppedLines += lines.count
        return
      }
      event(.log, to: connection, told)
    } else if !job.isOver {
      if let stream = job.streams[driver.node],
        stream.sender.waitingBytes > Self.waitingLogBytes
      {
        job.droppedLines += lines.count
        return
      }
      do {
        var frame: [UInt8] = []
        try LocalFrames.append(
          kind: .event, aux: LocalOperation.log.rawValue, number: 0,
          json: try LocalFrames.json(told), to: &frame)
        send(
          RelayParcel(source: Self.hubSource, destination: driver.worker, frames: frame),
          to: driver.node, of: job)
      } catch {
        logger.error("lines of a worker could not be sent to its driver: \(error)")
      }
    }
    job.droppedLines = 0
  }

  /// Short appends to the page cache: cheaper than a hop to another thread.
  private func append(_ text: [UInt8], to file: String) {
    let descriptor = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      logger.warning("a worker's output is not kept: cannot open \(file): errno \(errno)")
      return
    }
    defer { close(descriptor) }
    guard lseek(descriptor, 0, SEEK_END) < settings.outputLimit else { return }
    if Glibc.write(descriptor, text, text.count) != text.count {
      logger.warning("a worker's output is not kept whole: cannot write \(file): errno \(errno)")
    }
  }
}
