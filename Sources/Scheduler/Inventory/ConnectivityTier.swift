/// How fast a device's way to the internet is, in four classes.
public enum ConnectivityTier: UInt8, Sendable, Hashable, CaseIterable, Comparable {
  /// Less than 100 Mb/s down or 10 Mb/s up, or not measured.
  case unrated
  /// At least 100 Mb/s down and 10 Mb/s up.
  case low
  /// At least 400 and 300 Mb/s.
  case medium
  /// At least 800 and 600 Mb/s.
  case high
  /// At least 1,600 and 1,200 Mb/s.
  case ultra

  /// The class of measured rates in megabits a second; what is not a number counts as nothing.
  public init(downMegabits: Double, upMegabits: Double) {
    self =
      Self.allCases.last { tier in
        downMegabits >= tier.megabits.down && upMegabits >= tier.megabits.up
      } ?? .unrated
  }

  /// The least rates of the class, in megabits a second.
  public var megabits: (down: Double, up: Double) {
    switch self {
    case .unrated: (0, 0)
    case .low: (100, 10)
    case .medium: (400, 300)
    case .high: (800, 600)
    case .ultra: (1600, 1200)
    }
  }

  /// The class in one word, as labels have it.
  public var name: String { "\(self)" }

  /// Orders by speed.
  public static func < (left: ConnectivityTier, right: ConnectivityTier) -> Bool {
    left.rawValue < right.rawValue
  }
}
