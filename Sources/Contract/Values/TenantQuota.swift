public import IorunCore

/// What a tenant may take of the network, and how much it weighs among the others.
public struct TenantQuota: Hashable, Codable, Sendable {
  /// The owner that tickets name, or a peer's id.
  public var tenant: String
  /// The tenants that lend each other what they do not use.
  public var cohort: String
  /// What is its own; nothing for a tenant that only weighs.
  public var nominal: ResourceSet
  /// What it may borrow at most beyond that; `nil` for all there is.
  public var borrowing: ResourceSet?
  /// Twice the weight, twice the share.
  public var weight: Double

  /// The longest name of a tenant or cohort, in bytes.
  public static let nameLimit = 128
  /// What a tenant may weigh.
  public static let weights = 0.001...1000.0
  /// The most quotas of a network.
  public static let most = 10_000

  /// Describes a quota.
  public init(
    tenant: String, cohort: String = "default", nominal: ResourceSet = ResourceSet(),
    borrowing: ResourceSet? = nil, weight: Double = 1
  ) {
    self.tenant = tenant
    self.cohort = cohort
    self.nominal = nominal
    self.borrowing = borrowing
    self.weight = weight
  }

  /// Refuses names and amounts that cannot be.
  ///
  /// - Throws: `specInvalid`, naming what is wrong.
  public func check() throws {
    for name in [tenant, cohort] {
      guard (1...Self.nameLimit).contains(name.utf8.count),
        !name.utf8.contains(where: { $0 < 32 || $0 == 127 })
      else {
        throw IorunError(
          .specInvalid, "a tenant's or cohort's name has 1 to \(Self.nameLimit) printable bytes",
          remedy: "Give the owner that its tickets name (`iorun peers` shows it)")
      }
    }
    guard Self.weights.contains(weight) else {
      throw IorunError(
        .specInvalid, "a tenant cannot weigh \(weight)", remedy: "Give a number from 0.001 to 1000")
    }
    for amounts in [nominal, borrowing].compactMap(\.self) {
      guard (0...1_000_000_000_000).contains(amounts.milliCPUs),
        (0...1_000_000_000).contains(amounts.gpus)
      else {
        throw IorunError(
          .specInvalid, "a quota cannot be \(amounts)", remedy: "Give amounts that are not negative"
        )
      }
    }
  }
}

/// A tenant as the head sees it.
public struct TenantStatus: Hashable, Codable, Sendable {
  /// The owner that tickets name, or a peer's id.
  public var tenant: String
  /// What it may take; `nil` where it has no quota.
  public var quota: TenantQuota?
  /// What its jobs hold now.
  public var held: ResourceSet
  /// Its weighted dominant share of the network lately: the lowest goes first.
  public var share: Double

  /// Describes a tenant.
  public init(tenant: String, quota: TenantQuota?, held: ResourceSet, share: Double) {
    self.tenant = tenant
    self.quota = quota
    self.held = held
    self.share = share
  }
}
