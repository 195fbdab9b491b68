public import IorunCore

/// What others than iorun do with the machine at one moment; `nil` is what could not be found out.
public struct MachineUse: Hashable, Sendable {
  /// Minutes after midnight, by the machine's own clock.
  public var minuteOfDay: Int
  /// Cores that processes other than the agent's own kept busy, on average since the last look.
  public var foreignCores: Double?
  /// Since when nobody has typed at a terminal of the machine.
  public var sinceTyping: Duration?
  /// The hottest sensor, GPUs' among them, in degrees Celsius.
  public var temperatureCelsius: Int?
  /// Processes that compute on a GPU and are not the agent's own.
  public var foreignGPUProcesses: Int?
  /// Whether somebody is at a desktop of the machine, or left it unlocked a moment ago.
  public var hasDesktopUser: Bool?
  /// The memory that the agent's own processes hold, by GPU.
  public var ownGPUMemory: [Int: Bytes] = [:]

  /// Describes a moment.
  public init(
    minuteOfDay: Int, foreignCores: Double? = nil, sinceTyping: Duration? = nil,
    temperatureCelsius: Int? = nil, foreignGPUProcesses: Int? = nil, hasDesktopUser: Bool? = nil
  ) {
    self.foreignGPUProcesses = foreignGPUProcesses
    self.hasDesktopUser = hasDesktopUser
    self.minuteOfDay = minuteOfDay
    self.foreignCores = foreignCores
    self.sinceTyping = sinceTyping
    self.temperatureCelsius = temperatureCelsius
  }
}
