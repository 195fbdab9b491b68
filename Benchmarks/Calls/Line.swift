internal import ArgumentParser

/// What carries the bytes.
enum Carrier: String, Codable, CaseIterable, ExpressibleByArgument {
  case tcp
  case ipc
}

/// Who makes the calls.
enum Contender: String, Codable, CaseIterable, ExpressibleByArgument {
  /// A distributed actor's `add(Int, Int) -> Int` through the whole of our runtime.
  case iorun
  /// 100 bytes there and back through plain libzmq, DEALER to ROUTER: the floor under it.
  case libzmq
}

/// The way between the two processes, and how many calls are under way at a time.
struct Line: Codable, Hashable {
  var carrier: Carrier
  var isEncrypted: Bool
  var outstanding: Int

  /// All that are measured.
  static let all: [Line] = [1, 1000].flatMap { outstanding in
    Carrier.allCases.flatMap { carrier in
      [false, true].map { Line(carrier: carrier, isEncrypted: $0, outstanding: outstanding) }
    }
  }

  var name: String { carrier.rawValue + (isEncrypted ? " + CURVE" : "") }
}
