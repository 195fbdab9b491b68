internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The single changes of a job's own terms (labels, price, network, proofs, isolation) with which it would be
/// placed. Each is tried by the decision that refused.
struct TermRelaxations {
  let spec: JobSpec
  /// Whose job it is.
  let owner: JobOwner
  let inventory: Inventory
  let offers: [NodeOffer]
  /// Whether running jobs are thought away.
  let whenIdle: Bool

  private static let mostChanges = 3
  private static let mostValues = 4

  /// The changes, for a person, such as `leave out label gpu=a100`.
  var changes: [String] {
    // Nodes that no term leaves out are judged by the scheduler alone.
    guard !inventory.request(spec, of: owner).barred.isEmpty else { return [] }
    let room = whenIdle ? offers.map(\.idle) : offers
    let found =
      [anyIsolation(room), anyProof(room), otherNetwork(room), dearer(room)] + otherLabels(room)
    return Array(found.compactMap(\.self).prefix(Self.mostChanges))
  }

  private func fits(_ changed: JobSpec, _ room: [NodeOffer]) -> Bool {
    inventory.placer.fits(inventory.request(changed, of: owner), on: room)
  }

  private func anyProof(_ room: [NodeOffer]) -> String? {
    guard spec.verification != .any,
      spec.verification == .required || inventory.nodes.contains(where: \.lacksProofs)
    else {
      return nil
    }
    var changed = spec
    changed.verification = .any
    return fits(changed, room) ? "set verification to any" : nil
  }

  private func anyIsolation(_ room: [NodeOffer]) -> String? {
    guard spec.isolation == .required else { return nil }
    var changed = spec
    changed.isolation = .any
    return fits(changed, room) ? "set isolation to any" : nil
  }

  private func otherNetwork(_ room: [NodeOffer]) -> String? {
    let others: [JobSpec.Network] =
      switch spec.network ?? .host {
      case .internet: [.gang, .host]
      case .gang, .nothing: [.host]
      case .host: []
      }
    let other = others.first { network in
      var changed = spec
      changed.network = network
      return fits(changed, room)
    }
    return other.map { "set network to \($0.rawValue)" }
  }

  /// The lowest price with which it fits, of those that nodes ask.
  private func dearer(_ room: [NodeOffer]) -> String? {
    guard let most = spec.gang.terms?.mostMicrodollarsPerHour else { return nil }
    let prices = Set(
      inventory.nodes.map {
        Int(inventory.standing(of: $0).price(of: spec, on: $0).rounded(.up))
      }
      .filter { $0 > most }
    ).sorted()
    func fits(_ price: Int) -> Bool {
      var changed = spec
      changed.gang.terms?.mostMicrodollarsPerHour = price
      return self.fits(changed, room)
    }
    // More money never fits worse: halving finds the first price that is enough.
    var (low, high) = (0, prices.count)
    while low < high {
      let middle = (low + high) / 2
      if fits(prices[middle]) { high = middle } else { low = middle + 1 }
    }
    guard low < prices.count else { return nil }
    // Rounded up as it is shown: what is written is enough.
    let price = prices[low] < 10_000 ? prices[low] : (prices[low] + 9_999) / 10_000 * 10_000
    return "raise max_price to \(DollarText.of(microdollars: price))"
  }

  private func otherLabels(_ room: [NodeOffer]) -> [String] {
    (spec.gang.terms?.labels ?? [:]).sorted { $0.key < $1.key }.compactMap { key, selector in
      var changed = spec
      changed.gang.terms?.labels?[key] = nil
      guard fits(changed, room) else { return nil }
      return "leave out label \(key)=\(selector)\(values(of: key))"
    }
  }

  /// What nodes say under a key, for whom misspelt it.
  private func values(of key: String) -> String {
    let said = Set(inventory.nodes.compactMap { inventory.standing(of: $0).labels[key] }).sorted()
    guard !said.isEmpty else { return " (no node says \(key))" }
    let more = said.count > Self.mostValues ? ", ..." : ""
    return " (nodes say \(said.prefix(Self.mostValues).joined(separator: ", "))\(more))"
  }
}
