/// Amounts of named resources, as tasks, actors and bundles ask for them and nodes offer them: `CPU`,
/// `GPU`, `memory` (bytes), `object_store_memory` (bytes) and whatever a node says that it has.
///
/// Amounts are exact to 0.0001, as Ray's are, and are kept as whole numbers of that unit: sums of
/// fractions do not drift.
public struct ResourceAmounts: Hashable, Sendable {
  /// How many units make one.
  public static let unitsPerOne: Int64 = 10_000
  /// The name of processor cores.
  public static let cpu = "CPU"
  /// The name of accelerators.
  public static let gpu = "GPU"
  /// The names of accelerators that are things, not amounts: their holders learn which they have. All
  /// but `GPU` come in whole numbers that a node's operator gives, under Ray's names.
  public static let devices: Set<String> = [
    gpu, "TPU", "neuron_cores", "NPU", "HPU", "RBLN", "FURIOSA", "TTNPU", "MBLT",
  ]
  /// The name of main memory, in bytes.
  public static let memory = "memory"
  /// The name of the object store's memory, in bytes.
  public static let objectStoreMemory = "object_store_memory"
  /// The most names in one set.
  public static let nameLimit = 256

  /// Units by name; never zero or below in a request, may be below zero in a balance.
  public private(set) var units: [String: Int64]

  /// Takes units as they are; zeros are left out.
  public init(units: [String: Int64] = [:]) { self.units = units.filter { $0.value != 0 } }

  /// Takes amounts, rounded to the unit.
  ///
  /// - Throws: `specInvalid` for a negative, infinite or immense amount, an empty or long name, or
  ///   too many names.
  public init(amounts: [String: Double]) throws {
    guard amounts.count <= Self.nameLimit else {
      throw IorunError(.specInvalid, "\(amounts.count) resources; at most \(Self.nameLimit)")
    }
    var units: [String: Int64] = [:]
    for (name, amount) in amounts {
      guard !name.isEmpty, name.utf8.count <= 256, amount.isFinite, amount >= 0, amount < 9e14
      else {
        throw IorunError(
          .specInvalid, "resource '\(name.prefix(64))' cannot be \(amount)",
          remedy: "Give each resource a name and an amount of 0 or more")
      }
      units[name] = Int64((amount * Double(Self.unitsPerOne)).rounded())
    }
    self.init(units: units)
  }

  /// The amount of one resource, in ones.
  public subscript(name: String) -> Double {
    Double(units[name, default: 0]) / Double(Self.unitsPerOne)
  }

  /// All amounts, in ones.
  public var amounts: [String: Double] {
    units.mapValues { Double($0) / Double(Self.unitsPerOne) }
  }

  /// True where nothing is in it.
  public var isEmpty: Bool { units.isEmpty }

  /// What of a balance is above zero.
  public var positive: ResourceAmounts {
    ResourceAmounts(units: units.filter { $0.value > 0 })
  }

  /// True where every part of `request` is there.
  public func covers(_ request: ResourceAmounts) -> Bool {
    request.units.allSatisfy { units[$0.key, default: 0] >= $0.value }
  }

  /// Adds part by part.
  public static func + (left: ResourceAmounts, right: ResourceAmounts) -> ResourceAmounts {
    ResourceAmounts(units: left.units.merging(right.units, uniquingKeysWith: +))
  }

  /// Takes away part by part.
  public static func - (left: ResourceAmounts, right: ResourceAmounts) -> ResourceAmounts {
    ResourceAmounts(units: left.units.merging(right.units.mapValues { -$0 }, uniquingKeysWith: +))
  }

  /// Adds in place.
  public static func += (left: inout ResourceAmounts, right: ResourceAmounts) {
    left = left + right
  }

  /// Takes away in place.
  public static func -= (left: inout ResourceAmounts, right: ResourceAmounts) {
    left = left - right
  }
}

extension ResourceAmounts: Codable {
  /// Reads an object of names and numbers.
  public init(from decoder: any Decoder) throws {
    try self.init(amounts: decoder.singleValueContainer().decode([String: Double].self))
  }

  /// Writes an object of names and numbers. A balance that is overdrawn (a worker's cores were lent
  /// while it waited) has nothing left: nobody is told of less than that.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(amounts.filter { $0.value > 0 })
  }
}

extension ResourceAmounts: CustomStringConvertible {
  /// For example `1 CPU, 0.5 GPU`.
  public var description: String {
    guard !units.isEmpty else { return "nothing" }
    return units.sorted { $0.key < $1.key }.map { name, _ in
      let amount = self[name]
      let text = amount == amount.rounded() ? String(Int64(amount)) : String(amount)
      return "\(text) \(name)"
    }
    .joined(separator: ", ")
  }
}
