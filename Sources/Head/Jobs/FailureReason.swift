internal import IorunContract
internal import IorunCore

/// Says why an attempt did not succeed: the first failing rank, its node, its cause, its last words.
struct FailureReason {
  let record: JobRecord
  let ranks: [RankRecord]

  private static let longestLine = 200

  /// One sentence for a person.
  var text: String {
    switch record.ending {
    case nil: return ""
    case .cancelled: return "cancelled"
    case .timedOut:
      let limit = record.spec.timeoutSeconds.map { "\(Self.trimmed($0)) s" } ?? "the limit"
      return "it ran longer than its timeout of \(limit)"
    case .preempted(let reason): return reason
    case .lost(let rank):
      return ranks.indices.contains(rank) ? sentence(ranks[rank]) : "a node was lost"
    case .failed(let rank):
      guard ranks.indices.contains(rank) else { return "rank \(rank) failed" }
      // A rank that lost its peer often fails before the head can know that the peer's node is
      // gone: the lost node is then the cause, and comes first.
      if let lost = ranks.first(where: { $0.wasLost }), !ranks[rank].wasLost {
        return "\(sentence(lost)); after that, \(sentence(ranks[rank]))"
      }
      return sentence(ranks[rank])
    }
  }

  /// What a shell would make of it: the first failing rank's status, or 128 + the signal.
  var exitStatus: Int32? {
    guard case .failed(let rank) = record.ending, ranks.indices.contains(rank) else { return nil }
    switch ranks[rank].cause {
    case .exited(let status): return status
    case .signalled(let signal): return 128 + signal
    default: return nil
    }
  }

  private func sentence(_ rank: RankRecord) -> String {
    var text = "rank \(rank.rank) on \(rank.nodeName) "
    if case .nodeLost(let reason) = rank.cause {
      text += "was lost with its node: \(reason)"
    } else {
      text += rank.cause.map { "\($0)" } ?? "failed"
    }
    if let line = rank.lastLines.last(where: { !$0.allSatisfy(\.isWhitespace) }) {
      text += ": \(line.prefix(Self.longestLine))"
    }
    return text
  }

  private static func trimmed(_ seconds: Double) -> String {
    seconds == seconds.rounded() && abs(seconds) < 1e15 ? "\(Int(seconds))" : "\(seconds)"
  }
}

extension RankRecord {
  /// True where the rank ended because its node was lost.
  var wasLost: Bool {
    if case .nodeLost = cause { true } else { false }
  }
}
