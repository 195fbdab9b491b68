/// What others than iorun do with the machine at one moment; `nil` is what could not be found out.
public struct MachineUse: Hashable, Sendable {
  /// Minutes after midnight, by the machine's own clock.
  public var minuteOfDay: Int
  /// Cores that processes other than the agent's own kept busy, on average since the last look.
  public var foreignCores: Double?
  /// Since when nobody has typed at a terminal of the machine.
  public var sinceTyping: Duration?
  /// The hottest sensor, in degrees Celsius.
  public var temperatureCelsius: Int?

  /// Describes a moment.
  public init(
    minuteOfDay: Int, foreignCores: Double? = nil, sinceTyping: Duration? = nil,
    temperatureCelsius: Int? = nil
  ) {
    self.minuteOfDay = minuteOfDay
    self.foreignCores = foreignCores
    self.sinceTyping = sinceTyping
    self.temperatureCelsius = temperatureCelsius
  }
}
