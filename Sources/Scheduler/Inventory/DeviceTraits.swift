/// What kind of hardware a device is.
public enum HardwareClass: UInt8, Sendable, Hashable, CaseIterable {
  /// No accelerator.
  case cpu
  /// A card for games.
  case consumer
  /// A card for workstations.
  case workstation
  /// An accelerator for data centres.
  case dataCentre

  /// By the maker's name of an accelerator; empty for none. What no word tells is taken for one of a
  /// data centre, whose names are bare numbers: `NVIDIA H100 80GB HBM3`.
  public init(model: String) {
    let name = model.lowercased()
    func has(_ words: String...) -> Bool { words.contains { name.contains($0) } }
    if name.isEmpty {
      self = .cpu
    } else if has("quadro", "rtx a", "radeon pro", "rtx pro", "ada generation") {
      self = .workstation
    } else if has("geforce", "rtx", "gtx", "titan", "radeon rx", "arc ") {
      self = .consumer
    } else {
      self = .dataCentre
    }
  }
}

/// How far a device's claims were checked.
public enum VerificationState: UInt8, Sendable, Hashable, CaseIterable, Comparable {
  /// It failed a check.
  case failed
  /// Claims only.
  case unverified
  /// A check is under way or out of date.
  case pending
  /// Its proofs are good.
  case verified

  /// Orders by how far it may be believed.
  public static func < (left: VerificationState, right: VerificationState) -> Bool {
    left.rawValue < right.rawValue
  }
}

/// What is certified of a device's security.
public struct SecurityLabels: OptionSet, Sendable, Hashable {
  /// The set's bits.
  public let rawValue: UInt8

  /// Makes a set from its bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Its supplier has a SOC 2 report.
  public static let soc2 = SecurityLabels(rawValue: 1)
  /// Data is encrypted end to end.
  public static let endToEnd = SecurityLabels(rawValue: 2)
  /// It runs work in a trusted execution environment.
  public static let trustedExecution = SecurityLabels(rawValue: 4)

  /// The labels as a spec writes them.
  public var names: [String] {
    [(Self.soc2, "SOC2"), (.endToEnd, "E2E"), (.trustedExecution, "TEE")]
      .filter { contains($0.0) }.map(\.1)
  }
}
