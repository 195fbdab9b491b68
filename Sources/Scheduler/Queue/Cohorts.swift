public import IorunCore

/// Who may take how much: tenants' quotas, and cohorts of tenants that lend each other what they do not
/// use.
///
/// What a tenant holds within its quota is its own. Beyond it a tenant borrows what others of its
/// cohort leave unused, and then what nobody has a quota for; both can be taken back once a committed
/// hour is over (Kueue's cohorts: nominal quota, borrowing limit, reclaim). Tenants without a quota share
/// what nobody has one for. A resource that no quota names is not limited; where there are no quotas,
/// nobody is.
public struct Cohorts: Sendable, Hashable {
  /// What a tenant may take.
  public struct Quota: Sendable, Hashable {
    /// The tenants that lend each other.
    public var cohort: String
    /// What is its own.
    public var nominal: ResourceSet
    /// What it may borrow at most beyond that; `nil` for all there is.
    public var borrowing: ResourceSet?

    /// Describes a quota.
    public init(cohort: String, nominal: ResourceSet, borrowing: ResourceSet? = nil) {
      self.cohort = cohort
      self.nominal = nominal
      self.borrowing = borrowing
    }
  }

  /// Whether a gang may start.
  public enum Admission: Sendable, Hashable {
    /// Within the tenant's quota.
    case own
    /// On what others may take back.
    case borrows
    /// Not now; why, for a person.
    case waits(String)
  }

  private let quotas: [String: Quota]
  private let capacity: SIMD4<Double>
  /// Sum of all quotas; a resource of which there is none is not counted.
  private let owned: SIMD4<Double>

  /// - Parameter capacity: all that the cluster has.
  public init(_ quotas: [String: Quota], capacity: QueueDemand) {
    self.quotas = quotas
    self.capacity = capacity.amounts
    owned = quotas.values.reduce(.zero) { $0 + QueueDemand($1.nominal).amounts }
  }

  /// True where nobody is limited.
  public var isEmpty: Bool { quotas.isEmpty }

  /// Whether a tenant's gang may start.
  ///
  /// - Parameter held: what each tenant holds now.
  public func admission(
    of demand: QueueDemand, by tenant: String, held: [String: QueueDemand]
  ) -> Admission {
    guard !quotas.isEmpty else { return .own }
    let demand = counted(demand)
    let mine = counted(held[tenant])
    guard let quota = quotas[tenant] else {
      let free = unowned - borrowed(held, except: nil)
      return all(demand .<= free)
        ? .borrows : .waits("the part of the network that is nobody's quota is in use")
    }
    let nominal = Self.amounts(quota.nominal)
    if all(mine + demand .<= nominal) { return .own }
    if let most = quota.borrowing,
      !all(mine + demand .<= nominal + Self.amounts(most))
    {
      return .waits("your quota (\(quota.nominal)) and what you may borrow (\(most)) are in use")
    }
    let group = members(of: quota.cohort)
    let nominals = group.reduce(SIMD4<Double>.zero) { $0 + Self.amounts($1.value.nominal) }
    let holdings = group.reduce(SIMD4<Double>.zero) { $0 + counted(held[$1.key]) }
    // What the cohort does not own is taken of what nobody owns.
    let beyond = (holdings + demand - nominals)
      .clamped(lowerBound: .zero, upperBound: .greatest)
    let free = unowned - borrowed(held, except: quota.cohort)
    return all(beyond .<= free)
      ? .borrows
      : .waits(
        "your quota (\(quota.nominal)) is in use, and cohort '\(quota.cohort)' lends no more")
  }

  /// True where a gang of `tenant` within its quota may take back what `other` holds: it is of the same
  /// cohort, or has no quota, and holds more than its own.
  public func mayReclaim(
    for tenant: String, from other: String, held: [String: QueueDemand]
  ) -> Bool {
    guard let quota = quotas[tenant], other != tenant else { return false }
    guard let lent = quotas[other] else { return held[other] != nil }
    let holds = counted(held[other])
    return lent.cohort == quota.cohort && any(holds .> Self.amounts(lent.nominal))
  }

  private func members(of cohort: String) -> [String: Quota] {
    quotas.filter { $0.value.cohort == cohort }
  }

  /// What nobody has a quota for.
  private var unowned: SIMD4<Double> {
    (counted(capacity) - owned)
      .clamped(lowerBound: .zero, upperBound: .greatest)
  }

  /// What of it is in use by tenants without a quota, and by cohorts that hold more than they own.
  private func borrowed(_ held: [String: QueueDemand], except cohort: String?) -> SIMD4<Double> {
    var sum = SIMD4<Double>.zero
    for (tenant, demand) in held where quotas[tenant] == nil { sum += counted(demand) }
    for name in Set(quotas.values.map(\.cohort)) where name != cohort {
      let group = members(of: name)
      let beyond = group.reduce(SIMD4<Double>.zero) {
        $0 + counted(held[$1.key]) - Self.amounts($1.value.nominal)
      }
      sum += beyond.clamped(lowerBound: .zero, upperBound: .greatest)
    }
    return sum
  }

  private func counted(_ demand: QueueDemand?) -> SIMD4<Double> {
    counted(demand?.amounts ?? .zero)
  }

  private func counted(_ amounts: SIMD4<Double>) -> SIMD4<Double> {
    amounts.replacing(with: 0.0, where: owned .<= 0)
  }

  private static func amounts(_ resources: ResourceSet) -> SIMD4<Double> {
    QueueDemand(resources).amounts
  }
}
