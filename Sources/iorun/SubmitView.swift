internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore
internal import Synchronization

/// What `iorun submit` shows while it waits: the job's output on standard output, its progress on
/// standard error, as a live line on a terminal and as one line a change elsewhere.
final class SubmitView: Sendable {
  private struct State {
    var line = LiveLine(style: Output.errorStyle)
    var isInterrupted = false
    var upload: (total: Bytes, lacking: Bytes)?
    var job: JobStatus?
  }

  private let isJSON: Bool
  private let logs: LogWriter
  private let state = Mutex(State())

  init(isJSON: Bool, ranks: Int) {
    self.isJSON = isJSON
    logs = LogWriter(isJSON: false, showsRanks: ranks > 1)
  }

  func show(_ step: JobSubmission.Step) {
    switch step {
    case .building(let target): progress("building \(target)")
    case .readingImage(let path): progress("reading the image \(path)")
    case .reading(let folder): progress("reading \(folder)")
    case .uploading(let done, let total):
      // What the head has already is done at the first word: only the rest travels.
      let lacking = state.withLock { state in
        if state.upload?.total != total { state.upload = (total, total - done) }
        return state.upload?.lacking ?? total
      }
      guard lacking > .zero else { return }
      progress("uploading \(done) of \(total)", plain: "uploading \(lacking)")
    case .submitting: progress("submitting")
    }
  }

  /// The head has the job. `isLast` where nothing of it is shown any more.
  func accepted(_ job: JobStatus, isLast: Bool) {
    if isJSON {
      // The accepted job is the first object, so that a script knows the id at once.
      Output.write((try? JSONOutput.line(JobView(job))) ?? "")
    } else {
      finishLine(keeping: false)
      Output.writeError("accepted \(job.id)\n")
      // For `job=$(iorun submit --detach ...)`; else standard output is the job's own.
      if isLast { Output.write("\(job.id)\n") }
    }
  }

  func show(_ event: JobFollower.Event) async {
    switch event {
    case .status(let job):
      state.withLock { state in
        state.isInterrupted = false
        state.job = job
      }
      // A job that failed gets its last words from `end`. Elsewhere than on a terminal, where output
      // goes above the live line, the last word waits until all output is there.
      if job.state != .failed, Output.errorStyle.isTerminal || !job.state.isTerminal {
        progress(JobRendering.liveLine(job, now: Output.now), plain: JobRendering.changeLine(job))
      }
    case .output(let chunks):
      guard !isJSON else { return }
      let (clear, redraw) = state.withLock { ($0.line.clear(), $0.line.redraw()) }
      Output.writeError(clear)
      logs.write(chunks)
      Output.writeError(redraw)
    case .interrupted(let error):
      let isNew = state.withLock { state in
        defer { state.isInterrupted = true }
        return !state.isInterrupted
      }
      if isNew { progress("the head is out of reach; trying again: \(error.message)") }
    }
  }

  /// Lets the live line's clock go on while nothing happens; ends with the task.
  func keepTime() async throws {
    while Output.errorStyle.isTerminal {
      try await Task.sleep(for: .seconds(1))
      let job = state.withLock { $0.isInterrupted ? nil : $0.job }
      if let job {
        progress(JobRendering.liveLine(job, now: Output.now), plain: JobRendering.changeLine(job))
      }
    }
  }

  /// All output has come: shows a last line that the job never ended.
  func outputEnded() {
    guard !isJSON else { return }
    let (clear, redraw) = state.withLock { ($0.line.clear(), $0.line.redraw()) }
    Output.writeError(clear)
    logs.finish()
    Output.writeError(redraw)
    guard !Output.errorStyle.isTerminal, let job = state.withLock({ $0.job }), job.state != .failed
    else { return }
    progress(JobRendering.liveLine(job, now: Output.now), plain: JobRendering.changeLine(job))
  }

  /// Ctrl-C: the job goes on without us.
  func detached(_ job: JobID, stateOption: String?) {
    finishLine(keeping: true)
    let hint = stateOption.map { " --state-dir \($0)" } ?? ""
    Output.writeError(
      """
      detached; \(job) goes on
      follow it: iorun logs \(job) -f\(hint)
      end it:    iorun cancel \(job)\(hint)

      """)
  }

  private func progress(_ text: String, plain: String? = nil) {
    guard !isJSON else { return }
    Output.writeError(state.withLock { $0.line.show(text, plain: plain) })
  }

  private func finishLine(keeping: Bool) {
    guard !isJSON else { return }
    Output.writeError(state.withLock { $0.line.finish(keeping: keeping) })
  }

  /// The last words on a job; `outputs` is how many files it left, where that is known.
  static func end(_ job: JobStatus, outputs: Int?, isJSON: Bool) {
    if isJSON {
      Output.write((try? JSONOutput.line(JobView(job))) ?? "")
      return
    }
    Output.writeError((Output.errorStyle.isTerminal ? "\n" : ""))
    if job.state == .succeeded {
      if !job.spec.outputs.isEmpty {
        Output.writeError(OutputRendering.summary(of: job.id, count: outputs))
      }
    } else {
      Output.writeError(JobRendering.failure(job))
    }
  }
}
