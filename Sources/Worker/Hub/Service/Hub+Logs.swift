internal import Foundation
internal import Glibc
internal import IorunCore
internal import IorunWire
internal import Logging

/// Lines of a worker, for the job's driver.
struct LogLines: Encodable {
  var worker: String
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

  /// What a worker printed: into its file, and to the driver, under the name of the task or actor that
  /// printed it, as far as the worker gave one.
  func output(
    _ lines: [String], dropped: Int, stream: String, of worker: WorkerID, name: String? = nil,
    _ job: HubJob
  ) {
    var text: [UInt8] = []
    for line in lines { text += Array(line.utf8) + [UInt8(ascii: "\n")] }
    append(text, to: "\(job.logs)/worker-\(worker).\(stream)")
    let process = job.processes[worker]
    tellDriver(
      LogLines(
        worker: worker.description, pid: process?.pid ?? 0, node: settings.node,
        name: name ?? process?.actor?.spec.className ?? "", stream: stream, lines: lines,
        dropped: dropped),
      of: job)
  }

  /// Lines for the job's driver, wherever it is; dropped, and counted, where too much waits for it.
  func tellDriver(_ lines: LogLines, of job: HubJob) {
    var told = lines
    told.dropped += job.droppedLines
    let driver = job.record.driver
    let isLocal = driver.node == settings.node
    let connection = isLocal ? job.processes[driver.worker]?.connection : nil
    guard isLocal ? connection != nil : !job.isOver else { return }
    let waiting =
      isLocal
      ? connection?.outgoing.byteCount : job.streams[driver.node]?.sender.waitingBytes
    guard waiting ?? 0 < Self.waitingLogBytes else {
      job.droppedLines += lines.lines.count
      return
    }
    job.droppedLines = 0
    if let connection {
      event(.log, to: connection, told)
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
