internal import Foundation
internal import IorunCore
internal import Synchronization

/// Scratch that is made ahead, on a thread of its own, so that a lease need not wait for it: a few, of
/// the size that was asked for last. Each has a key of its own and is used once.
final class ReadyScratch: Sendable {
  private struct Item {
    var mount: ScratchMount
    var size: Bytes
  }

  private struct State {
    var items: [Item] = []
    /// What is made.
    var size: Bytes
    var isMaking = false
    var isClosed = false
    /// When one was taken last.
    var lastTake: ContinuousClock.Instant?
  }

  /// How long whoever took one has the machine to itself, while another one is ready: making scratch takes
  /// a processor for a tenth of a second, and a sandbox begins meanwhile.
  private static let rest = Duration.milliseconds(250)

  private let count: Int
  private let make: @Sendable (Bytes) throws -> ScratchMount
  private let state: Mutex<State>
  /// Held while one is made or removed.
  private let work = Mutex(())

  /// Begins to make `count` of them.
  init(
    _ count: Int, size: Bytes, make: @escaping @Sendable (Bytes) throws -> ScratchMount
  ) {
    self.count = count
    self.make = make
    state = Mutex(State(size: size))
    refill()
  }

  /// How many there are now.
  var readyCount: Int { state.withLock { $0.items.count } }

  /// One of that size, which is the caller's now; `nil` where none is ready. From now on those of this
  /// size are made: the ranks of a job, and the jobs of a user, want the same.
  func take(_ size: Bytes) -> ScratchMount? {
    defer { refill() }
    while true {
      let mount = state.withLock { state -> ScratchMount? in
        state.size = size
        return state.items.firstIndex { $0.size == size }.map {
          state.lastTake = .now
          return state.items.remove(at: $0).mount
        }
      }
      guard let mount else { return nil }
      if mount.isUsable { return mount }
      // Its process may have been killed.
      try? mount.close()
    }
  }

  /// Removes all of them, and makes no more. Blocks for some tenths of a second for each.
  func close() {
    state.withLock { $0.isClosed = true }
    // What is being made is done, or sees that nobody wants it any more.
    work.withLock { _ in }
    let items = state.withLock { state in
      defer { state.items = [] }
      return state.items
    }
    for item in items { try? item.mount.close() }
  }

  private func refill() {
    let isWanted = state.withLock { state in
      guard !state.isClosed, !state.isMaking, Self.next(state, count: count) != nil else {
        return false
      }
      state.isMaking = true
      return true
    }
    guard isWanted else { return }
    let thread = Thread { [self] in
      repeat { waitForRest() } while work.withLock({ _ in step() })
    }
    thread.name = "iorun-scratch"
    thread.start()
  }

  private func waitForRest() {
    while true {
      let left = state.withLock { state -> Duration in
        guard !state.isClosed, let last = state.lastTake,
          state.items.contains(where: { $0.size == state.size })
        else { return .zero }
        return last + Self.rest - .now
      }
      guard left > .zero else { return }
      usleep(UInt32(min(left, .milliseconds(20)) / .microseconds(1)) + 1)
    }
  }

  private enum Step { case make(Bytes), remove(Int) }

  private static func next(_ state: State, count: Int) -> Step? {
    if state.items.count < count { return .make(state.size) }
    return state.items.firstIndex { $0.size != state.size }.map { .remove($0) }
  }

  /// Makes or removes one. False where there is nothing more to do: also after a failure, of which the
  /// next lease hears that has to make its own.
  private func step() -> Bool {
    let (size, old) = state.withLock { state -> (Bytes?, ScratchMount?) in
      switch state.isClosed ? nil : Self.next(state, count: count) {
      case .make(let size): return (size, nil)
      case .remove(let index): return (nil, state.items.remove(at: index).mount)
      case nil:
        state.isMaking = false
        return (nil, nil)
      }
    }
    if let old {
      try? old.close()
      return true
    }
    guard let size else { return false }
    let made = try? make(size)
    return state.withLock { state in
      guard let made else {
        state.isMaking = false
        return false
      }
      // Who closes waits for this, and takes what it finds.
      state.items.append(Item(mount: made, size: size))
      return true
    }
  }
}
