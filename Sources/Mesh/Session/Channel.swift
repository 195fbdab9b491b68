internal import IorunWire

/// One traffic class of a session: numbers, acknowledges, sends again, drops duplicates, and keeps
/// within the credit that the other side gave.
///
/// Payloads are delivered in order and at most once. A gap makes the sender go back to it
/// (go-back-N): links deliver in order, so gaps come from lost links, where everything after the
/// gap is lost too.
struct Channel: Sendable {
  /// What the receiver of a class takes before it has consumed anything, in payload bytes.
  static func initialCredit(_ trafficClass: TrafficClass) -> UInt64 {
    switch trafficClass {
    case .control: 2 << 20
    case .actor, .bulk: 8 << 20
    }
  }

  private struct Outgoing: Sendable {
    var sequence: UInt64
    var payload: [UInt8]
    var sentAt: MonotonicTime?
    var wasResent = false
  }

  let trafficClass: TrafficClass

  // Sending. `queue` holds what is not acknowledged: first what was sent, then what was not.
  private var queue: [Outgoing] = []
  private var queueHead = 0
  private var sentCount = 0
  private var nextSequence: UInt64 = 1
  private var sentBytes: UInt64 = 0
  private var bytesInFlight = 0
  private var creditLimit: UInt64
  private var timer = RetransmissionTimer()
  private var retransmitAt: MonotonicTime?

  // Receiving.
  private(set) var received: UInt64 = 0
  private var receivedBytes: UInt64 = 0
  private var consumedBytes: UInt64 = 0
  private var grantedLimit: UInt64
  private var unacknowledged = 0
  private var acknowledgeAt: MonotonicTime?

  /// What the slowest path that is worth serving carries in a millisecond: 1 Mbit/s.
  static let slowestBytesAMillisecond = 125
  /// The most that bytes in flight add to the wait for an acknowledgement.
  static let longestCarriage = Duration.seconds(20)

  /// How long an acknowledgement may wait for a payload that takes it along.
  static let acknowledgementDelay = Duration.milliseconds(20)
  /// After so many payloads an acknowledgement goes at once.
  static let acknowledgementEvery = 64

  init(_ trafficClass: TrafficClass) {
    self.trafficClass = trafficClass
    creditLimit = Self.initialCredit(trafficClass)
    grantedLimit = Self.initialCredit(trafficClass)
  }

  /// When `tick` has something to do.
  var deadline: MonotonicTime? {
    switch (retransmitAt, acknowledgeAt) {
    case (let first?, let second?): min(first, second)
    case (let first, let second): first ?? second
    }
  }

  /// True where payloads wait for credit or for an acknowledgement.
  var hasUnacknowledged: Bool { queueHead < queue.count }

  /// The smoothed round trip, once one was measured.
  var roundTrip: Duration? { timer.smoothedRoundTrip }

  /// The credit that our packets announce.
  var announcedCredit: UInt64 { grantedLimit }

  mutating func enqueue(_ payload: [UInt8]) {
    queue.append(Outgoing(sequence: nextSequence, payload: payload))
    nextSequence += 1
  }

  /// The payloads that may go now, within the other side's credit.
  mutating func takeSendable(now: MonotonicTime) -> [(sequence: UInt64, payload: [UInt8])] {
    var sendable: [(UInt64, [UInt8])] = []
    while queueHead + sentCount < queue.count {
      let index = queueHead + sentCount
      let size = UInt64(queue[index].payload.count)
      if queue[index].sentAt == nil {
        guard sentBytes + size <= creditLimit else { break }
        sentBytes += size
      } else {
        queue[index].wasResent = true
      }
      queue[index].sentAt = now
      bytesInFlight += queue[index].payload.count
      sendable.append((queue[index].sequence, queue[index].payload))
      sentCount += 1
    }
    if !sendable.isEmpty {
      // What goes out takes the acknowledgement along.
      acknowledgementSent()
      if retransmitAt == nil { retransmitAt = now + patience }
    }
    return sendable
  }

  /// Takes the acknowledgement and credit of any packet; returns the payload bytes that it freed.
  mutating func acknowledged(_ sequence: UInt64, credit: UInt64, now: MonotonicTime) -> Int {
    creditLimit = max(creditLimit, credit)
    var freed = 0
    var newest: Outgoing?
    while sentCount > 0, queue[queueHead].sequence <= sequence {
      freed += queue[queueHead].payload.count
      bytesInFlight -= queue[queueHead].payload.count
      newest = queue[queueHead]
      queue[queueHead].payload = []
      queueHead += 1
      sentCount -= 1
    }
    if let newest {
      if let sentAt = newest.sentAt, !newest.wasResent { timer.measured(now - sentAt) }
      retransmitAt = sentCount > 0 ? now + patience : nil
      compact()
    }
    return freed
  }

  /// Takes a numbered payload; true where it is the next one and must be delivered.
  mutating func receive(sequence: UInt64, byteCount: Int, now: MonotonicTime) -> Bool {
    guard sequence == received + 1, receivedBytes + UInt64(byteCount) <= grantedLimit else {
      // A duplicate, a gap, or more than the credit: say at once where we stand.
      acknowledgeAt = now
      return false
    }
    received = sequence
    receivedBytes += UInt64(byteCount)
    unacknowledged += 1
    if unacknowledged >= Self.acknowledgementEvery {
      acknowledgeAt = now
    } else if acknowledgeAt == nil {
      acknowledgeAt = now + Self.acknowledgementDelay
    }
    return true
  }

  /// The application is done with so many received bytes: gives their room back.
  mutating func consumed(_ byteCount: Int, now: MonotonicTime) {
    // Bytes of an earlier session may come back late: they must not grow the credit of this one.
    consumedBytes = min(consumedBytes + UInt64(byteCount), receivedBytes)
    let limit = consumedBytes + Self.initialCredit(trafficClass)
    // Announced by the next packet; at once where the other side may be waiting for it.
    if limit - grantedLimit >= Self.initialCredit(trafficClass) / 4 {
      grantedLimit = limit
      acknowledgeAt = now
    } else {
      // Soon all the same: where other calls hold the rest of the credit, the other side waits.
      grantedLimit = limit
      if acknowledgeAt == nil { acknowledgeAt = now + Self.acknowledgementDelay }
    }
  }

  /// True where an acknowledgement of its own is due; the caller then sends one.
  mutating func takeDueAcknowledgement(now: MonotonicTime) -> Bool {
    guard let due = acknowledgeAt, due <= now else { return false }
    acknowledgementSent()
    return true
  }

  /// True where an acknowledgement waits for a payload to go with; the caller sends it now.
  mutating func takeWaitingAcknowledgement() -> Bool {
    guard acknowledgeAt != nil else { return false }
    acknowledgementSent()
    return true
  }

  /// Goes back to the first unacknowledged payload where its time is up.
  mutating func retransmitIfDue(now: MonotonicTime) {
    guard let due = retransmitAt, due <= now else { return }
    timer.expired()
    goBack()
  }

  /// The path was lost and is back: whatever was on it is sent again.
  mutating func pathIsBack() {
    guard sentCount > 0 else { return }
    timer.pathIsBack()
    goBack()
  }

  /// `takeSendable` comes next: it sends again, and starts the timer for what it sends.
  private mutating func goBack() {
    sentCount = 0
    bytesInFlight = 0
    retransmitAt = nil
  }

  /// How long to wait for an acknowledgement of what is in flight. What a slow path still carries is
  /// not lost: sent again, it would only lengthen the queue that it waits in.
  private var patience: Duration {
    timer.timeout
      + min(.milliseconds(bytesInFlight / Self.slowestBytesAMillisecond), Self.longestCarriage)
  }

  private mutating func acknowledgementSent() {
    unacknowledged = 0
    acknowledgeAt = nil
    grantedLimit = max(grantedLimit, consumedBytes + Self.initialCredit(trafficClass))
  }

  private mutating func compact() {
    if queueHead == queue.count {
      queue.removeAll(keepingCapacity: true)
      queueHead = 0
    } else if queueHead > 1024, queueHead > queue.count / 2 {
      queue.removeFirst(queueHead)
      queueHead = 0
    }
  }
}
