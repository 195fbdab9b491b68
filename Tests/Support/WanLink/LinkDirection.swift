import CWanLink
import Glibc

/// One direction of a running link: takes packets out of one device and puts them into the other
/// when the model says that they arrive. Its memory is bounded: it holds so many packets and no more.
final class LinkDirection {
  /// The most packets on their way. 16,384 of full size are 1.3 s of 150 Mb/s.
  static let packetLimit = 16_384
  /// The most packets taken at once, so that arrivals are not kept waiting.
  private static let batch = 64

  private let source: Int32
  private let sink: Int32
  private let slotBytes: Int
  private let slots: UnsafeMutableRawPointer
  private var freeSlots: [Int]
  private var model: LinkModel
  private var queue = ArrivalQueue()

  init(from source: Int32, to sink: Int32, mtu: Int, model: LinkModel) {
    self.source = source
    self.sink = sink
    self.model = model
    slotBytes = mtu
    // Touched, and so taken from the machine, only as far as packets pile up: the slot that was
    // freed last is used first.
    slots = .allocate(byteCount: mtu * Self.packetLimit, alignment: 16)
    freeSlots = Array((0..<Self.packetLimit).reversed())
  }

  deinit { slots.deallocate() }

  /// When the next packet arrives.
  var nextArrival: Duration? { queue.nextArrival }

  /// Takes what the source has to send.
  func take(at now: Duration) {
    for _ in 0..<Self.batch {
      guard let slot = freeSlots.popLast() else {
        // Full: the packet is read into nothing, and so dropped.
        var nothing: UInt8 = 0
        guard read(source, &nothing, 1) >= 0 else { return }
        continue
      }
      let length = read(source, slots + slot * slotBytes, slotBytes)
      guard length > 0 else {
        freeSlots.append(slot)
        return
      }
      switch model.send(bytes: length, at: now) {
      case .arrives(let arrival): queue.insert(slot: slot, length: length, arrival: arrival)
      case .lost, .overflowed: freeSlots.append(slot)
      }
    }
  }

  /// Gives the sink what has arrived. What its kernel refuses is lost, as on any link.
  func deliver(at now: Duration) {
    while let packet = queue.takeArrived(by: now) {
      _ = write(sink, slots + packet.slot * slotBytes, packet.length)
      freeSlots.append(packet.slot)
    }
  }
}
