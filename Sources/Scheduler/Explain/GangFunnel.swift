internal import IorunCore

/// What became of all GPUs on the way to a refusal, or of all nodes for a gang that asks for none. Each
/// is counted once, at the first thing in its way: `seen` is the sum of the steps and of `left`.
public struct GangFunnel: Sendable, Hashable {
  /// Those that ended at one requirement.
  public struct Step: Sendable, Hashable {
    /// How many; never 0.
    public var count: Int
    /// Why, in words that follow the number: `not verified`.
    public var words: String
  }

  /// What is counted: `GPU` or `node`.
  public var noun: String
  /// All that there are.
  public var seen: Int
  /// Where they ended, in the order in which they are asked.
  public var steps: [Step]
  /// Those that could be given to the gang.
  public var left: Int
  /// How many the gang needs; `nil` for nodes, which take as many ranks as they have room for.
  public var needed: Int?
  /// What follows the steps, for a person.
  private let end: String

  /// For example `812 GPUs seen: 420 in nodes with less than 64 GiB memory (most: b with 24 GiB), 300
  /// not verified, 80 over maxRTT 20 ms, 12 left, 16 needed`, or `2 nodes seen: 1 not alive, 1 has room
  /// for 1 of the 4 ranks`.
  public var text: String {
    if seen == 0 { return "no \(noun)s seen\(end)" }
    let parts = steps.map { "\($0.count) \($0.words)" } + (end.isEmpty ? [] : [end])
    return "\(seen) \(noun)\(seen == 1 ? "" : "s") seen: \(parts.joined(separator: ", "))"
  }

  /// Counts.
  ///
  /// - Parameter near: the nodes of the largest part of the gang that is within the longest round trip,
  ///   and that limit; `nil` where none was asked for.
  init(_ request: GangRequest, _ offers: [NodeOffer], near: (nodes: Set<PeerID>, limit: Float)?) {
    let count = FunnelCount(request: request, offers: offers, near: near)
    let gpus = request.resources.gpus
    noun = gpus > 0 ? "GPU" : "node"
    needed = gpus > 0 ? request.ranks.multipliedReportingOverflow(by: gpus).partialValue : nil
    seen = gpus > 0 ? offers.reduce(0) { $0 + $1.gpus.count } : offers.count
    let found = count.found
    left = found.left
    steps = found.steps
    if gpus > 0 {
      let nodes = "\(offers.count) node\(offers.count == 1 ? "" : "s")"
      end =
        seen > 0
        ? "\(left) left, \(needed ?? 0) needed" : " on \(nodes), \(needed ?? 0) needed"
    } else {
      end = left > 0 ? "\(left) \(left == 1 ? "has" : "have") \(count.roomWords)" : ""
    }
  }
}

/// Puts each GPU, or node, of a funnel where it belongs.
private struct FunnelCount {
  let request: GangRequest
  let offers: [NodeOffer]
  let near: (nodes: Set<PeerID>, limit: Float)?

  /// What is in the way of one.
  private enum Finding: Hashable {
    case notAlive, excluded, barred(String), otherModel, notOffered, tooSmall(ResourceKind)
    case leftOver, busy, tooFar
  }

  private var countsGPUs: Bool { request.resources.gpus > 0 }

  var found: (steps: [GangFunnel.Step], left: Int) {
    var counts: [Finding: Int] = [:]
    var left = 0
    var small: [ResourceKind: [NodeOffer]] = [:]
    for offer in offers {
      for (finding, count) in findings(offer) where count > 0 {
        guard let finding else {
          left += count
          continue
        }
        counts[finding, default: 0] += count
        if case .tooSmall(let kind) = finding { small[kind, default: []].append(offer) }
      }
    }
    let order =
      [.notAlive, .excluded] + Set(request.barred.values).sorted().map(Finding.barred)
      + [.otherModel, .notOffered] + ResourceKind.allCases.map(Finding.tooSmall)
      + [.leftOver, .busy, .tooFar]
    let steps = order.compactMap { finding in
      counts[finding].map { count in
        GangFunnel.Step(count: count, words: words(finding, count, small))
      }
    }
    return (steps, left)
  }

  /// How many of a node's GPUs, or whether it, ended where; `nil` for what is left.
  private func findings(_ offer: NodeOffer) -> [(Finding?, Int)] {
    let whole = countsGPUs ? offer.gpus.count : 1
    if !offer.isPlaceable { return [(.notAlive, whole)] }
    if request.excluding.contains(offer.node) { return [(.excluded, whole)] }
    if let term = request.barred[offer.node] { return [(.barred(term), whole)] }
    let (idle, free) = (
      offer.idleRoom(gpuModel: request.gpuModel), offer.freeRoom(gpuModel: request.gpuModel)
    )
    let lacking = ResourceKind.allCases.first { idle[$0] < request.resources[$0] }
    let left = free.slots(for: request.resources, limit: GangRequest.maximumRanks)
    let end: Finding? = near.map { $0.nodes.contains(offer.node) } ?? true ? nil : .tooFar
    guard countsGPUs else {
      if let lacking { return [(.tooSmall(lacking), 1)] }
      return [(left == 0 ? .busy : end, 1)]
    }
    let like = offer.gpuIndices(matching: request.gpuModel).count
    let usable = Int(clamping: idle[.gpus])
    let findings: [(Finding?, Int)] = [(.otherModel, whole - like), (.notOffered, like - usable)]
    if let lacking { return findings + [(.tooSmall(lacking), usable)] }
    let gpus = request.resources.gpus
    let ranks = idle.slots(for: request.resources, limit: GangRequest.maximumRanks)
    return findings + [
      (.leftOver, usable - ranks * gpus), (.busy, (ranks - left) * gpus), (end, left * gpus),
    ]
  }

  /// For example `room for 1 of the 4 ranks`: of the nodes that are left.
  var roomWords: String {
    let slots = offers.reduce(0) { sum, offer in
      guard findings(offer).contains(where: { $0.0 == nil && $0.1 > 0 }) else { return sum }
      let room = offer.freeRoom(gpuModel: request.gpuModel)
      return sum + room.slots(for: request.resources, limit: request.ranks)
    }
    return "room for \(slots) of the \(request.ranks) rank\(request.ranks == 1 ? "" : "s")"
  }

  private func words(
    _ finding: Finding, _ count: Int, _ small: [ResourceKind: [NodeOffer]]
  ) -> String {
    switch finding {
    case .notAlive: return countsGPUs ? "in nodes that are not alive" : "not alive"
    case .excluded: return "excluded for this job"
    case .barred(let term): return term
    case .otherModel: return "not like '\(request.gpuModel ?? "")'"
    case .notOffered: return "not offered by their nodes"
    case .leftOver: return "left over beside whole ranks"
    case .busy: return "busy with other jobs"
    case .tooFar: return "over maxRTT \(RoundTripWords.text(near?.limit ?? .infinity))"
    case .tooSmall(let kind): return smallWords(kind, small[kind] ?? [], count)
    }
  }

  private func smallWords(_ kind: ResourceKind, _ nodes: [NodeOffer], _ count: Int) -> String {
    let wanted = request.resources[kind]
    let verb = countsGPUs ? "in nodes with" : count == 1 ? "has" : "have"
    func idle(_ offer: NodeOffer) -> UInt64 { offer.idleRoom(gpuModel: request.gpuModel)[kind] }
    let largest = nodes.min { left, right in
      let amounts = (idle(left), idle(right))
      return amounts.0 == amounts.1 ? left.name < right.name : amounts.0 > amounts.1
    }
    let comparison = kind == .gpus || kind == .cpus ? "fewer" : "less"
    let like = (request.gpuModel ?? "").isEmpty ? "" : " like '\(request.gpuModel ?? "")'"
    return "\(verb) \(comparison) than \(kind.words(for: wanted))\(kind == .gpus ? like : "")"
      + " (most: \(largest?.name ?? "") with \(kind.amount(largest.map(idle) ?? 0)))"
  }
}
