/// When a machine's owner lets it take work: hours, quiet, heat. A pure value, asked every few seconds.
public struct OwnerLimits: Hashable, Sendable, Codable {
  /// The hours in which it takes work; `nil` for all.
  public var hours: DailyHours?
  /// It takes work only after the owner has used it for nothing else for so many minutes.
  public var idleMinutes: Int?
  /// It takes no work while a sensor shows this or more, in degrees Celsius.
  public var maximumCelsius: Int?
  /// Whether what runs there is ended too, once a limit has been passed for `noticeSeconds`.
  public var endsWork: Bool?

  /// How long what runs may go on where a limit ends it.
  public static let noticeSeconds = 60
  /// A machine is in use where others than iorun keep more of it busy than this, in cores.
  static let idleCores = 0.5
  /// So many degrees below the limit the machine is cool enough again.
  static let coolingCelsius = 5

  /// No limits.
  public init() {}

  /// True where nothing is limited.
  public var isEmpty: Bool { hours == nil && idleMinutes == nil && maximumCelsius == nil }

  /// Why the machine takes no work at a moment; `nil` where it does.
  ///
  /// - Parameters:
  ///   - use: what goes on there.
  ///   - sinceUse: since when others have left it alone; `nil` where it is in use, or that is not known.
  ///   - wasHot: whether it was too hot at the last look.
  public func hold(_ use: MachineUse, sinceUse: Duration?, wasHot: Bool) -> OwnerHold? {
    if let hours, !hours.contains(minute: use.minuteOfDay) { return .outsideHours(hours) }
    if let maximumCelsius, let found = use.temperatureCelsius,
      found >= (wasHot ? maximumCelsius - Self.coolingCelsius : maximumCelsius)
    {
      return .tooHot(celsius: found, limit: maximumCelsius)
    }
    if let idleMinutes, sinceUse.map({ $0 < .seconds(idleMinutes * 60) }) ?? true {
      return .inUse(idleMinutes: idleMinutes)
    }
    return nil
  }

  /// Whether others use the machine at a moment.
  static func isInUse(_ use: MachineUse) -> Bool {
    use.foreignCores.map { $0 > idleCores } ?? true
      || use.sinceTyping.map { $0 < .seconds(60) } ?? false
      || (use.foreignGPUProcesses ?? 0) > 0 || use.hasDesktopUser == true
  }
}

/// Why a machine takes no new work by its owner's will.
public enum OwnerHold: Hashable, Sendable {
  /// `iorun worker pause`.
  case paused
  /// `iorun worker drain`.
  case leaving
  /// It is not the time of day.
  case outsideHours(DailyHours)
  /// A sensor shows too much.
  case tooHot(celsius: Int, limit: Int)
  /// The owner uses it, or did so not long ago.
  case inUse(idleMinutes: Int)

  /// For people, here and at the head.
  public var reason: String {
    switch self {
    case .paused: "its owner has paused it"
    case .leaving: "its owner lets it end what runs there, and leave"
    case .outsideHours(let hours): "it works from \(hours) only"
    case .tooHot(let celsius, let limit): "it is \(celsius) °C hot, and may be \(limit) at most"
    case .inUse(let minutes): "its owner uses it; it works after \(minutes) minutes of quiet"
    }
  }
}
