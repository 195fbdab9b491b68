internal import ArgumentParser
internal import IorunWire

/// What carries the bytes.
enum Carrier: String, Codable, CaseIterable, ExpressibleByArgument {
  case tcp
  case ipc
}

/// Who makes the calls.
enum Contender: String, Codable, CaseIterable, ExpressibleByArgument {
  /// A distributed actor's `add(Int, Int) -> Int` through the whole of our runtime.
  case iorun
  /// Payloads through a session of the mesh, without actors above it.
  case session
  /// The same bytes through plain libzmq, DEALER to ROUTER: the floor under it.
  case libzmq
}

/// The way between the two processes, and how many calls are under way at a time.
struct Line: Codable, Hashable {
  var carrier: Carrier
  var isEncrypted: Bool
  var outstanding: Int
  var messageBytes = 100

  /// Large messages go one way and are acknowledged with a byte; small ones come back.
  var isBulk: Bool { messageBytes > 65_536 }
  var answerBytes: Int { isBulk ? 1 : messageBytes }
  var trafficClass: TrafficClass { isBulk ? .bulk : .actor }
  /// Who is measured: an actor's call is no carrier of large messages.
  var contenders: [Contender] { isBulk ? [.session, .libzmq] : Contender.allCases }

  /// All that are measured.
  static let all: [Line] = [1, 1000].flatMap { outstanding in
    Carrier.allCases.flatMap { carrier in
      [false, true].map { Line(carrier: carrier, isEncrypted: $0, outstanding: outstanding) }
    }
  }

  /// Large messages.
  static let bulk: [Line] = [false, true].map {
    Line(carrier: .tcp, isEncrypted: $0, outstanding: 16, messageBytes: 1 << 20)
  }

  var name: String { carrier.rawValue + (isEncrypted ? " + CURVE" : "") }
}
