internal import Foundation
internal import IorunCore

/// Who has had how much of the cluster lately: the order among tenants.
///
/// Dominant resource fairness (Ghodsi et al., NSDI 2011), weighted, over usage that fades with a
/// half-life: a tenant's share is the greatest, over the resources, of its average holding as a part
/// of the capacity, divided by its weight. The average is exponential, so a tenant that holds a
/// constant part converges to that part. What a tenant holds now is counted one committed hour
/// ahead, because it cannot be taken back before: otherwise one tenant would get all that is free in
/// one pass.
///
/// Time that goes backwards counts as no time.
public struct FairShare: Sendable {
  /// The usual half-life of usage: 24 hours.
  public static let usualHalfLifeSeconds = 86_400.0

  private struct Account: Sendable {
    var average = SIMD4<Double>.zero
    var held = SIMD4<Double>.zero
    var weight = 1.0
    var updatedAt = 0.0
  }

  private let halfLifeSeconds: Double
  private let aheadSeconds: Double
  private var capacity: SIMD4<Double>
  private var accounts: [Int: Account] = [:]

  /// - Parameters:
  ///   - capacity: all that the cluster has.
  ///   - aheadSeconds: for how long a lease is committed.
  /// - Throws: `specInvalid` for a half-life that is no time.
  public init(
    capacity: QueueDemand, halfLifeSeconds: Double = usualHalfLifeSeconds,
    aheadSeconds: Double = LeaseTerm.committedSeconds
  ) throws {
    guard halfLifeSeconds > 0, halfLifeSeconds.isFinite, aheadSeconds >= 0, aheadSeconds.isFinite
    else {
      throw IorunError(
        .specInvalid, "usage cannot fade with a half-life of \(halfLifeSeconds) s",
        remedy: "Give a number of seconds above 0")
    }
    self.capacity = capacity.amounts
    self.halfLifeSeconds = halfLifeSeconds
    self.aheadSeconds = aheadSeconds
  }

  /// Nodes came or went.
  public mutating func setCapacity(_ capacity: QueueDemand) { self.capacity = capacity.amounts }

  /// A tenant with weight 2 gets twice the share of one with weight 1.
  ///
  /// - Throws: `specInvalid` for a weight that is not above 0 and finite.
  public mutating func setWeight(_ weight: Double, of tenant: Int) throws {
    guard weight > 0, weight.isFinite else {
      throw IorunError(
        .specInvalid, "a tenant cannot weigh \(weight)", remedy: "Give a number above 0")
    }
    accounts[tenant, default: Account()].weight = weight
  }

  /// What a tenant has had, to be kept while nobody looks.
  public struct Usage: Sendable, Hashable, Codable {
    /// Its average holding, a number for each resource.
    public var average: [Double]
    /// As of when.
    public var atSeconds: Double
  }

  /// What a tenant has had until now; `nil` for one that never had anything.
  public func usage(of tenant: Int, atSeconds now: Double) -> Usage? {
    guard let account = accounts[tenant] else { return nil }
    let passed = now.isFinite ? max(0, now - account.updatedAt) : 0
    let average = faded(account, after: passed)
    return Usage(average: (0..<4).map { average[$0] }, atSeconds: account.updatedAt + passed)
  }

  /// Goes on from what was kept. What cannot be usage counts as none.
  public mutating func restore(_ usage: Usage, of tenant: Int) {
    guard usage.average.count == 4, usage.atSeconds.isFinite,
      usage.average.allSatisfy({ (0...QueueDemand.largestAmount).contains($0) })
    else { return }
    for index in 0..<4 {
      accounts[tenant, default: Account()].average[index] = usage.average[index]
    }
    accounts[tenant]?.updatedAt = usage.atSeconds
  }

  /// A gang of the tenant has started.
  public mutating func take(_ demand: QueueDemand, by tenant: Int, atSeconds now: Double) {
    change(tenant, now) { $0 += demand.amounts }
  }

  /// A gang of the tenant has ended, or was stopped.
  public mutating func giveBack(_ demand: QueueDemand, by tenant: Int, atSeconds now: Double) {
    change(tenant, now) {
      $0 = ($0 - demand.amounts).clamped(lowerBound: .zero, upperBound: .greatest)
    }
  }

  /// What a tenant has now of each resource, whatever it had before.
  public mutating func setHeld(_ demand: QueueDemand, by tenant: Int, atSeconds now: Double) {
    change(tenant, now) { $0 = demand.amounts }
  }

  /// The tenant's weighted dominant share: 0 for one that had nothing; the lowest goes first.
  public func share(of tenant: Int, atSeconds now: Double) -> Double {
    guard let account = accounts[tenant] else { return 0 }
    let average = faded(account, after: max(0, now - account.updatedAt) + aheadSeconds)
    var dominant = 0.0
    for index in 0..<4 where capacity[index] > 0 {
      dominant = max(dominant, average[index] / capacity[index])
    }
    return dominant / account.weight
  }

  private mutating func change(
    _ tenant: Int, _ now: Double, _ body: (inout SIMD4<Double>) -> Void
  ) {
    var account = accounts[tenant] ?? Account()
    if now.isFinite, now > account.updatedAt {
      account.average = faded(account, after: now - account.updatedAt)
      account.updatedAt = now
    }
    body(&account.held)
    accounts[tenant] = account
  }

  private func faded(_ account: Account, after seconds: Double) -> SIMD4<Double> {
    let kept = exp2(-seconds / halfLifeSeconds)
    return account.average * kept + account.held * (1 - kept)
  }
}

extension SIMD4<Double> {
  /// Larger than any amount.
  static var greatest: SIMD4<Double> { SIMD4(repeating: .greatestFiniteMagnitude) }
}
