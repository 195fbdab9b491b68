internal import IorunWire

/// One traffic class of a session: numbers, acknowledges, sends again, drops duplicates, and keeps
/// within the credit that the other side gave.
///
/// Payloads are delivered in order and at most once. A gap makes the sender go back to it
/// (go-back-N): links deliver in order, so gaps come from lost links, where everything after the
/// gap is lost too, or from a relay that means harm. Against the latter, what comes early is kept
/// within the credit until the gap is closed, and who misses something says so at once and is believed
/// after the round trip that was measured: otherwise each lost packet would cost the whole window, and
/// a wait that doubles.
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
  /// The other side has said that it misses what `retransmitAt` is about.
  private var isMissed = false
  /// What the last answer to something that was sent twice took at least.
  private var leastTrip: Duration?

  // Receiving.
  private(set) var received: UInt64 = 0
  private var receivedBytes: UInt64 = 0
  private var consumedBytes: UInt64 = 0
  private var grantedLimit: UInt64
  private var unacknowledged = 0
  private var acknowledgeAt: MonotonicTime?
  /// What came before its turn.
  private var early: [UInt64: [UInt8]] = [:]
  private var earlyBytes = 0
  /// How often the gap before that was told.
  private var gapReports = 0

  /// What the slowest path that is worth serving carries in a millisecond: 1 Mbit/s.
  static let slowestBytesAMillisecond = 125
  /// The most that bytes in flight add to the wait for an acknowledgement.
  static let longestCarriage = Duration.seconds(20)

  /// How long an acknowledgement may wait for a payload that takes it along.
  static let acknowledgementDelay = Duration.milliseconds(20)
  /// The most payloads that are kept before their turn.
  static let earlyLimit: UInt64 = 4096
  /// The shortest time between two returns to one gap.
  static let shortestGap = Duration.milliseconds(10)
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
  /// `isAlone`: the packet carried nothing else, so it was sent to say just this.
  mutating func acknowledged(
    _ sequence: UInt64, credit: UInt64, isAlone: Bool, now: MonotonicTime
  ) -> Int {
    let isCreditNews = credit > creditLimit
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
      if let sentAt = newest.sentAt {
        // Of what was sent twice nobody knows which one is answered (Karn): the later one took at
        // least so long, which is better than nothing where nothing was measured yet.
        if newest.wasResent { leastTrip = now - sentAt } else { timer.measured(now - sentAt) }
      }
      retransmitAt = sentCount > 0 ? now + patience : nil
      isMissed = false
      compact()
    } else if isAlone, !isCreditNews {
      missed(now)
    }
    return freed
  }

  /// The other side repeats itself: it got something that does not follow on what it has. Where it
  /// still does not follow when the first payload must have arrived, that one is lost.
  private mutating func missed(_ now: MonotonicTime) {
    guard sentCount > 0, let sentAt = queue[queueHead].sentAt,
      let trip = timer.usualRoundTrip ?? leastTrip
    else { return }
    let due = max(now, sentAt + max(trip, Self.shortestGap))
    guard retransmitAt.map({ due < $0 }) ?? true else { return }
    retransmitAt = due
    isMissed = true
  }

  /// Takes a numbered payload; true where it is the next one and must be delivered. Then `takeEarly`
  /// has those that follow it and came before.
  mutating func receive(sequence: UInt64, payload: [UInt8], now: MonotonicTime) -> Bool {
    guard receivedBytes + UInt64(earlyBytes + payload.count) <= grantedLimit else {
      acknowledgeAt = now
      return false
    }
    guard sequence == received + 1 else {
      // A duplicate or a gap: say at once where we stand.
      acknowledgeAt = now
      if sequence > received, sequence - received <= Self.earlyLimit, early[sequence] == nil {
        early[sequence] = payload
        earlyBytes += payload.count
      }
      return false
    }
    note(payload.count, now: now)
    // It came early, too, and could not be delivered then.
    if !early.isEmpty, let copy = early.removeValue(forKey: sequence) { earlyBytes -= copy.count }
    return true
  }

  /// The next payload, where it came before its turn.
  mutating func takeEarly(now: MonotonicTime) -> [UInt8]? {
    guard !early.isEmpty, let payload = early.removeValue(forKey: received + 1) else { return nil }
    earlyBytes -= payload.count
    note(payload.count, now: now)
    return payload
  }

  private mutating func note(_ byteCount: Int, now: MonotonicTime) {
    received += 1
    gapReports = 0
    receivedBytes += UInt64(byteCount)
    unacknowledged += 1
    if unacknowledged >= Self.acknowledgementEvery {
      acknowledgeAt = now
    } else if acknowledgeAt == nil {
      acknowledgeAt = now + Self.acknowledgementDelay
    }
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
    if !early.isEmpty {
      // Until the gap is closed it is told again, ever less often: word of it may be lost as well.
      acknowledgeAt = now + Self.acknowledgementDelay * (1 << min(gapReports, 5))
      gapReports += 1
    }
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
    if !isMissed { timer.expired() }
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
    isMissed = false
  }

  /// How long to wait for an acknowledgement of what is in flight. What a slow path still carries is
  /// not lost: sent again, it would only lengthen the queue that it waits in.
  private var patience: Duration {
    timer.timeout
      + min(.milliseconds(bytesInFlight / Self.slowestBytesAMillisecond), Self.longestCarriage)
  }

  private mutating func acknowledgementSent() {
    unacknowledged = 0
    // Word of a gap goes by itself: along with a payload it would not be told from usual traffic.
    if early.isEmpty { acknowledgeAt = nil }
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
