internal import Foundation
public import IorunContract
public import IorunCore
internal import IorunMesh
internal import IorunRuntime
internal import Synchronization

/// A client's way into one running rank: streams to it, for as long as it runs.
///
/// The head lets the client's process reach the rank's node and forwards its packets; it is asked again
/// every few seconds, and at once when it was away, so that a head that restarts interrupts nothing.
/// When the rank ends, every stream ends with the reason.
public final class RankConnection: Sendable {
  private static let renewal = Duration.seconds(15)
  /// How long a head that does not answer is waited for.
  private static let patience = Duration.seconds(60)

  private struct State {
    var attachment: Attachment
    var ended: IorunError?
    var watch: Task<Void, Never>?
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  /// The job as it stood at the start.
  public let job: JobStatus
  /// The rank.
  public let rank: Int
  private let head: HeadConnection
  private let port: StreamPort
  private let state: Mutex<State>

  /// Finds the rank and the way to it.
  ///
  /// - Throws: `notFound`, `notAllowed`, `wrongState` where the rank does not run yet, `rankEnded`.
  public static func open(_ reference: RankReference, at head: HeadConnection) async throws
    -> RankConnection
  {
    let job = try await head.job(reference.job)
    let attachment = try await head.jobs.attach(
      job.id, rank: reference.rank, instance: head.instance)
    let connection = RankConnection(job, attachment, head)
    let watch = Task { [weak connection] in
      while let next = connection, !Task.isCancelled, await next.watchOnce() {}
    }
    connection.state.withLock { $0.watch = watch }
    return connection
  }

  private init(_ job: JobStatus, _ attachment: Attachment, _ head: HeadConnection) {
    self.job = job
    rank = attachment.lease.rank
    self.head = head
    port = StreamPort(on: head.system)
    state = Mutex(State(attachment: attachment))
  }

  /// The rank, for people: `job-7k3f9q2m rank 0 on node-1`.
  public var description: String {
    state.withLock { "\($0.attachment.lease.job) rank \(rank) on \($0.attachment.nodeName)" }
  }

  /// Opens a stream to the rank.
  ///
  /// - Throws: what the node says; `rankEnded`, `unreachable`, `timedOut`.
  public func open(_ purpose: StreamRequest.Purpose) async throws -> MeshStream {
    let attachment = try state.withLock { state in
      if let ended = state.ended { throw ended }
      return state.attachment
    }
    let (kind, window) = StreamWindows.window(for: purpose)
    let id = StreamPort.drawID()
    // Before the node knows of it: its first bytes may come before its answer does.
    let stream = try port.makeStream(
      id, with: attachment.node, principal: attachment.node, kind: kind, sendLimit: 0,
      window: window)
    do {
      let desk = try RankDesk.at(attachment.node, using: head.system)
      let limit = try await MeshActorSystem.$callTimeout.withValue(.seconds(30)) {
        try await desk.open(
          StreamRequest(
            lease: attachment.lease, client: head.system.localPeer, stream: id, window: window,
            purpose: purpose))
      }
      stream.grant(limit)
      return stream
    } catch {
      stream.reset(
        error as? IorunError ?? IorunError(.cancelled, "the stream was not opened", cause: error))
      throw error
    }
  }

  /// Waits until the rank has ended or cannot be reached any more, and says why.
  ///
  /// - Throws: `CancellationError`.
  public func ended() async throws -> IorunError {
    while true {
      try Task.checkCancellation()
      if let ended = state.withLock({ $0.ended }) { return ended }
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let isDue = state.withLock { state in
            if state.ended != nil || Task.isCancelled { return true }
            state.waiters.append(continuation)
            return false
          }
          if isDue { continuation.resume() }
        }
      } onCancel: {
        wake()
      }
    }
  }

  /// Breaks off every stream that is still open.
  public func close() async {
    let watch = state.withLock { $0.watch }
    watch?.cancel()
    port.resetAll(IorunError(.cancelled, "the client has closed the connection"))
  }

  private func wake() {
    let waiters = state.withLock { state in
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  private func end(_ reason: IorunError) {
    let isFirst = state.withLock { state in
      defer { state.ended = state.ended ?? reason }
      return state.ended == nil
    }
    guard isFirst else { return }
    port.resetAll(reason)
    wake()
  }

  // MARK: The way

  /// One look at the job and one renewal; false once the rank is over.
  private func watchOnce() async -> Bool {
    do {
      // Any change of the job may concern the rank. A head that dies cuts the wait off, and is asked
      // again as soon as it is back.
      try await MeshActorSystem.$callTimeout.withValue(.seconds(20)) {
        _ = try await head.jobs.watch(
          job.id, after: .max, waitMilliseconds: Int(Self.renewal / .milliseconds(1)))
      }
    } catch is CancellationError {
      return false
    } catch {
      // The renewal says what is wrong.
    }
    // No busy loop where the head answers at once, because too many wait.
    guard (try? await Task.sleep(for: .milliseconds(100))) != nil else { return false }
    return await renew()
  }

  private func renew() async -> Bool {
    let deadline = ContinuousClock.now + Self.patience
    var pause = Duration.milliseconds(100)
    while !Task.isCancelled {
      do {
        let lease = state.withLock { $0.attachment.lease }
        let fresh = try await MeshActorSystem.$callTimeout.withValue(.seconds(15)) {
          try await head.jobs.attach(lease.job, rank: lease.rank, instance: head.instance)
        }
        guard fresh.lease == lease else {
          end(
            IorunError(
              .rankEnded, "attempt \(lease.attempt) of \(lease.job) is over; another one runs",
              remedy: "Connect again"))
          return false
        }
        return true
      } catch is CancellationError {
        return false
      } catch let error as IorunError where Self.mayPass(error.code) {
        guard ContinuousClock.now < deadline else {
          end(error)
          return false
        }
        try? await Task.sleep(for: pause)
        pause = min(pause * 2, .seconds(1))
      } catch {
        end(
          error as? IorunError
            ?? IorunError(.internalFault, "the rank is out of reach", cause: error))
        return false
      }
    }
    return false
  }

  /// True for what a head that restarts, or a node that registers anew, causes for a while.
  private static func mayPass(_ code: IorunError.Code) -> Bool {
    [.unreachable, .peerLost, .timedOut, .overloaded, .actorNotFound].contains(code)
  }
}
