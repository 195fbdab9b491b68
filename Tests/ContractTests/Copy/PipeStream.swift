import IorunCore
import Synchronization

@testable import IorunContract

/// Two `ByteStream`s that are each other's other end, in memory, with a bound.
final class PipeStream: ByteStream {
  /// Bytes one way.
  actor Way {
    private var parts: [[UInt8]] = []
    private var bytes = 0
    private var isFinished = false
    private var failure: IorunError?
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private(set) var total = 0
    private let cutAfter: Int?

    init(cutAfter: Int?) { self.cutAfter = cutAfter }

    func put(_ part: [UInt8]) async throws {
      while bytes > 1 << 20, failure == nil { await wait() }
      if let failure { throw failure }
      total += part.count
      if let cutAfter, total > cutAfter {
        fail(IorunError(.peerLost, "cut"))
        throw IorunError(.peerLost, "cut")
      }
      parts.append(part)
      bytes += part.count
      wake()
    }

    func take() async throws -> [UInt8]? {
      while parts.isEmpty {
        if let failure { throw failure }
        if isFinished { return nil }
        await wait()
      }
      let part = parts.removeFirst()
      bytes -= part.count
      wake()
      return part
    }

    func finish() {
      isFinished = true
      wake()
    }

    func fail(_ reason: IorunError) {
      failure = failure ?? reason
      wake()
    }

    private func wait() async { await withCheckedContinuation { waiters.append($0) } }

    private func wake() {
      for waiter in waiters { waiter.resume() }
      waiters = []
    }
  }

  let incoming: Way
  let outgoing: Way

  private init(_ incoming: Way, _ outgoing: Way) {
    self.incoming = incoming
    self.outgoing = outgoing
  }

  /// `cutAfter`: both break once so many bytes went from the first to the second.
  static func pair(cutAfter: Int? = nil) -> (PipeStream, PipeStream) {
    let (there, back) = (Way(cutAfter: cutAfter), Way(cutAfter: nil))
    return (PipeStream(back, there), PipeStream(there, back))
  }

  func read(upTo most: Int) async throws -> [UInt8]? { try await incoming.take() }
  func write(_ bytes: [UInt8]) async throws {
    do { try await outgoing.put(bytes) } catch {
      await incoming.fail(IorunError(.peerLost, "cut"))
      throw error
    }
  }
  func finish() async throws { await outgoing.finish() }
  func reset(_ reason: IorunError) {
    Task {
      await incoming.fail(reason)
      await outgoing.fail(reason)
    }
  }
}
