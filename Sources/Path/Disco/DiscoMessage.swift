public import IorunCore

/// What two ends say to each other while they look for a path, and to keep it.
public enum DiscoMessage: Hashable, Sendable {
  /// Asks for a pong by the way on which it came.
  case ping(transaction: UInt64)
  /// Answers a ping, and says whence it came.
  case pong(transaction: UInt64, observed: SocketAddress?)
  /// "Open your holes towards these addresses." Answered by another one with the same round. Goes
  /// through the relay, because that is the way that exists.
  case call(round: UInt32, isAnswer: Bool, natClass: NATClass, candidates: [Candidate])

  /// The encoded form, before sealing.
  var bytes: [UInt8] {
    switch self {
    case .ping(let transaction): [1] + Self.bytes(transaction)
    case .pong(let transaction, let observed):
      [2] + Self.bytes(transaction) + (observed?.bytes ?? [])
    case .call(let round, let isAnswer, let natClass, let candidates):
      [3, isAnswer ? 1 : 0, natClass.wireValue]
        + Self.bytes(UInt64(round)).suffix(4)
        + candidates.prefix(Candidate.limit).flatMap { [$0.kind.rawValue] + $0.address.bytes }
    }
  }

  /// Reads the encoded form; `nil` for anything that this version would not write.
  init?(bytes: ArraySlice<UInt8>) {
    guard let kind = bytes.first else { return nil }
    var rest = bytes.dropFirst()
    func number(_ count: Int) -> UInt64? {
      guard rest.count >= count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count).reduce(0) { $0 << 8 | UInt64($1) }
    }
    switch kind {
    case 1:
      guard let transaction = number(8), rest.isEmpty else { return nil }
      self = .ping(transaction: transaction)
    case 2:
      guard let transaction = number(8) else { return nil }
      if rest.isEmpty {
        self = .pong(transaction: transaction, observed: nil)
      } else {
        guard let (address, count) = SocketAddress.read(rest), count == rest.count else {
          return nil
        }
        self = .pong(transaction: transaction, observed: address)
      }
    case 3:
      guard let flag = number(1), flag < 2, let natClass = number(1), let round = number(4) else {
        return nil
      }
      var candidates: [Candidate] = []
      while let kind = number(1) {
        guard candidates.count < Candidate.limit, let known = Candidate.Kind(rawValue: UInt8(kind)),
          let (address, count) = SocketAddress.read(rest)
        else { return nil }
        rest = rest.dropFirst(count)
        candidates.append(Candidate(known, address))
      }
      self = .call(
        round: UInt32(round), isAnswer: flag == 1,
        natClass: NATClass(wireValue: UInt8(natClass)), candidates: candidates)
    default: return nil
    }
  }

  private static func bytes(_ value: UInt64) -> [UInt8] {
    stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
