internal import CPath
internal import CSCTP
internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// The one thread of this process on which SCTP runs, with all that its library keeps for the whole
/// process. Begins with the first path and sleeps while there is none.
final class AssociationEngine: Sendable {
  /// The process's.
  static let shared = AssociationEngine()

  /// A way whose associations are wanted.
  struct Entrance: Sendable {
    var path: AssociationPath
    /// A listening TCP socket of this machine, whose connections are carried to the other end; the
    /// engine closes it.
    var door: Int32
    /// Where streams from the other end lead on this machine, and the address that they come from.
    var target: SocketAddress?
    var source: SocketAddress
  }

  private struct Inbox {
    var added: [Entrance] = []
    var removed: [UInt] = []
    var packets: [(path: AssociationPath, bytes: [UInt8])] = []

    var isEmpty: Bool { added.isEmpty && removed.isEmpty && packets.isEmpty }
  }

  private let inbox = Mutex(Inbox())
  private let paths = Mutex<[UInt: AssociationPath]>([:])
  private let wake = iorun_eventfd_create()

  private init() {
    let thread = Thread { [self] in
      iorun_sctp_init { number, bytes, count in
        AssociationEngine.shared.send(number, UnsafeRawBufferPointer(start: bytes, count: count))
      }
      AssociationLoop(wake: wake).run({ takeAll() }) { number in
        paths.withLock { $0[number] = nil }
      }
    }
    thread.name = "path-sctp"
    thread.start()
  }

  /// Carries streams over a path from now on.
  func add(_ entrance: Entrance) {
    paths.withLock { $0[entrance.path.number] = entrance.path }
    post { $0.added.append(entrance) }
  }

  /// Ends the streams of a path.
  func remove(_ path: AssociationPath) { post { $0.removed.append(path.number) } }

  /// A packet came over a path.
  func receive(_ packet: [UInt8], on path: AssociationPath) {
    guard path.waiting.load(ordering: .relaxed) < AssociationPath.backlog else { return }
    path.waiting.add(1, ordering: .relaxed)
    post { $0.packets.append((path, packet)) }
  }

  private func send(_ number: UInt, _ packet: UnsafeRawBufferPointer) {
    paths.withLock { $0[number] }?.send(packet)
  }

  private func post(_ change: (inout Inbox) -> Void) {
    let wasEmpty = inbox.withLock { inbox in
      let wasEmpty = inbox.isEmpty
      change(&inbox)
      return wasEmpty
    }
    if wasEmpty { _ = iorun_eventfd_signal(wake) }
  }

  private func takeAll() -> AssociationLoop.Work {
    let taken = inbox.withLock { inbox in
      let taken = inbox
      inbox = Inbox()
      return taken
    }
    for packet in taken.packets { packet.path.waiting.subtract(1, ordering: .relaxed) }
    return AssociationLoop.Work(
      added: taken.added, removed: taken.removed,
      packets: taken.packets.map { ($0.path.number, $0.bytes) })
  }
}
