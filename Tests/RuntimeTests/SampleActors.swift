import Distributed
import Foundation
import IorunCore
import IorunRuntime

/// The actors that the runtime's tests call.
distributed actor Counter {
  typealias ActorSystem = MeshActorSystem
  private var seen: [Int] = []

  distributed func add(_ left: Int, _ right: Int) -> Int { left + right }

  distributed func append(_ value: Int) { seen.append(value) }

  distributed func all() -> [Int] { seen }

  distributed func whoCalls() -> PeerID? { MeshActorSystem.caller }

  distributed func refuse() throws {
    throw IorunError(.notFound, "there is nothing", remedy: "look elsewhere")
  }

  distributed func failOddly(registered: Bool) throws {
    if registered { throw RegisteredFailure(number: 7) }
    throw ForeignFailure()
  }

  distributed func slowly(_ value: Int) async throws -> Int {
    for _ in 0..<3 { await Task.yield() }
    seen.append(value)
    return value
  }

  private var waiting: CheckedContinuation<Int, Never>?

  /// Stays in the call until `openGate`.
  distributed func gate() async -> Int { await withCheckedContinuation { waiting = $0 } }

  distributed var isWaiting: Bool { waiting != nil }

  distributed func openGate(_ value: Int) {
    waiting?.resume(returning: value)
    waiting = nil
  }

  private var running = 0
  private(set) var mostAtOnce = 0

  /// Suspends in mid-call, and notes how many calls there are at once.
  distributed func overlap(_ value: Int) async {
    running += 1
    mostAtOnce = max(mostAtOnce, running)
    await Task.yield()
    seen.append(value)
    running -= 1
  }

  distributed func most() -> Int { mostAtOnce }

  distributed func hang() async throws { try await Task.sleep(for: .seconds(3600)) }

  distributed func echo(_ floats: [Float]) -> [Float] { floats }

  distributed func big(_ count: Int) -> [UInt8] { [UInt8](repeating: 1, count: count) }
}

struct RegisteredFailure: Error, Codable, Sendable, Equatable {
  var number: Int
}

struct ForeignFailure: Error {}

/// An actor of another type, with other properties.
distributed actor Other {
  typealias ActorSystem = MeshActorSystem
  private var words: [[String: String]] = []

  distributed func spoil(_ word: String) { words.append([word: word]) }
}

/// An actor that takes four calls at a time.
distributed actor Wide: MailboxTraits {
  typealias ActorSystem = MeshActorSystem
  static var maxConcurrentCalls: Int { 4 }
  private var running = 0
  private var most = 0

  distributed func overlap() async {
    running += 1
    most = max(most, running)
    for _ in 0..<20 { await Task.yield() }
    running -= 1
  }

  distributed func mostAtOnce() -> Int { most }
}

/// Answers on the transport's own thread.
distributed actor QuickCounter: MailboxTraits {
  typealias ActorSystem = MeshActorSystem
  static let runsOnTransport = true
  private var seen: [Int] = []

  distributed func append(_ value: Int) { seen.append(value) }

  distributed func all() -> [Int] { seen }

  distributed func thread() -> UInt { currentThread() }

  /// Leaves the thread and comes back to it.
  distributed func nap() async throws -> UInt {
    try await Task.sleep(for: .milliseconds(1))
    return currentThread()
  }
}

func currentThread() -> UInt { UInt(pthread_self()) }
