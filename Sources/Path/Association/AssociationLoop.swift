internal import CPath
internal import CSCTP
internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// What the engine's thread does: hands packets to SCTP, keeps its time, and moves bytes between its
/// associations and the streams of this machine.
final class AssociationLoop {
  /// Streams of one path at once: a link has one, and a second while the first one ends.
  static let limitPerPath = 4
  /// How often SCTP's timers are looked at while something is under way, and while nothing was for the
  /// shortest time after which it sends again.
  static let tick = Duration.milliseconds(10), restingTick = Duration.milliseconds(50)
  static let resting = Duration.milliseconds(200)
  /// Packets after which the clock is looked at.
  static let packetsPerLook = 32
  /// Milliseconds that pass at once for SCTP at most, and less than its shortest timer: where this
  /// thread had to wait for a processor, acknowledgements wait with it, and nothing is lost.
  static let longestTick = 100
  /// How long nobody is let in where there is no descriptor left.
  static let shortage = Duration.milliseconds(50)
  /// So long after the last association SCTP may have something to say.
  static let aftermath = Duration.seconds(30)

  /// What others want of the thread.
  struct Work {
    var added: [AssociationEngine.Entrance]
    var removed: [UInt]
    var packets: [(path: UInt, bytes: [UInt8])]
  }

  private struct Held {
    var entrance: AssociationEngine.Entrance
    var listener: OpaquePointer?
    var splices: [AssociationSplice] = []
  }

  private let wake: Int32
  private var held: [UInt: Held] = [:]
  private var tickedAt = PathClock.now()
  private var busyAt = PathClock.now()
  private var carriedAt: Duration?
  private var isBusy = false
  /// Until when nobody is let in, because there was no descriptor left for it.
  private var doorsOpenAt = Duration.zero
  /// The doors at which somebody waits.
  private var knocked: Set<Int32> = []

  init(wake: Int32) { self.wake = wake }

  /// Never returns.
  ///
  /// - Parameter forget: told of each path that is gone, after its last word.
  func run(_ take: () -> Work, forget: (UInt) -> Void) {
    while true {
      wait()
      let work = take()
      carryOut(work)
      for number in work.removed { forget(number) }
      keepTime()
      isBusy = false
      for number in held.keys { turn(number) }
    }
  }

  private func wait() {
    var polled = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
    let isOpen = PathClock.now() >= doorsOpenAt
    for each in held.values {
      if isOpen, each.splices.count < Self.limitPerPath {
        polled.append(pollfd(fd: each.entrance.door, events: Int16(POLLIN), revents: 0))
      }
      for splice in each.splices {
        // One that waits for SCTP alone would report its end again and again.
        let events = splice.events
        polled.append(pollfd(fd: events == 0 ? -1 : splice.stream, events: events, revents: 0))
      }
    }
    poll(&polled, nfds_t(polled.count), pause)
    if polled[0].revents != 0 { iorun_eventfd_drain(wake) }
    knocked = Set(polled.filter { $0.revents != 0 }.map(\.fd))
    if polled.contains(where: { $0.revents != 0 }) { busyAt = PathClock.now() }
  }

  private var pause: Int32 {
    if isBusy { return 0 }
    let now = PathClock.now()
    if now < doorsOpenAt { return Int32(Self.shortage / .milliseconds(1)) }
    if held.values.contains(where: { !$0.splices.isEmpty }) { carriedAt = now }
    guard let carriedAt, now - carriedAt < Self.aftermath else { return -1 }
    let tick = now - busyAt < Self.resting ? Self.tick : Self.restingTick
    return Int32(tick / .milliseconds(1))
  }

  private func carryOut(_ work: Work) {
    for entrance in work.added {
      iorun_sctp_add_path(entrance.path.number)
      held[entrance.path.number] = Held(
        entrance: entrance,
        listener: iorun_sctp_listen(entrance.path.number, UInt32(AssociationPath.packetBytes)))
    }
    for (index, packet) in work.packets.enumerated() where held[packet.path] != nil {
      if index % Self.packetsPerLook == 0 { keepTime() }
      packet.bytes.withUnsafeBytes {
        iorun_sctp_input(packet.path, $0.baseAddress, $0.count)
      }
    }
    for number in work.removed {
      guard let gone = held.removeValue(forKey: number) else { continue }
      for splice in gone.splices { splice.end(atOnce: true) }
      if let listener = gone.listener { iorun_sctp_close(listener, 1) }
      close(gone.entrance.door)
      gone.entrance.path.carried.store(0, ordering: .relaxed)
      iorun_sctp_remove_path(number)
    }
  }

  private func keepTime() {
    let now = PathClock.now()
    let passed = Int((now - tickedAt) / .milliseconds(1))
    guard passed >= 1 else { return }
    // What is less than a millisecond counts with the next look.
    tickedAt = passed > Self.longestTick ? now : tickedAt + .milliseconds(passed)
    iorun_sctp_tick(UInt32(min(passed, Self.longestTick)))
  }

  private func turn(_ number: UInt) {
    guard var each = held[number] else { return }
    accept(&each)
    each.splices.removeAll { splice in
      switch splice.turn() {
      case .waiting: return false
      case .busy:
        isBusy = true
        return false
      case .over: return true
      }
    }
    each.entrance.path.carried.store(each.splices.count, ordering: .relaxed)
    held[number] = each
  }

  /// Takes streams of this machine, and associations of the other end.
  private func accept(_ each: inout Held) {
    let path = each.entrance.path.number
    let bytes = UInt32(AssociationPath.packetBytes)
    while knocked.contains(each.entrance.door), each.splices.count < Self.limitPerPath {
      var from = iorun_path_address()
      let stream = iorun_tcp_accept(each.entrance.door, &from)
      guard stream >= 0 else {
        if stream != -EAGAIN { doorsOpenAt = PathClock.now() + Self.shortage }
        break
      }
      guard let association = iorun_sctp_connect(path, bytes) else {
        close(stream)
        continue
      }
      each.splices.append(AssociationSplice(stream: stream, association: association))
    }
    guard let listener = each.listener else { return }
    while let association = iorun_sctp_accept(listener, bytes) {
      guard each.splices.count < Self.limitPerPath, let target = each.entrance.target,
        let stream = Self.connect(to: target, from: each.entrance.source)
      else {
        iorun_sctp_close(association, 1)
        continue
      }
      each.splices.append(AssociationSplice(stream: stream, association: association))
    }
  }

  private static func connect(to target: SocketAddress, from source: SocketAddress) -> Int32? {
    var (here, there) = (source.native, target.native)
    let stream = iorun_tcp_bound_at(&here)
    guard stream >= 0 else { return nil }
    let begun = iorun_tcp_connect(stream, &there, 0)
    guard begun == 0 || begun == -EINPROGRESS else {
      close(stream)
      return nil
    }
    return stream
  }
}
