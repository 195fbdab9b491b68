/// What a job may ask for at most. The spec reader, the command line and the head check the same.
public enum JobLimits {
  /// How many ranks a gang may have.
  public static let ranks = 1...4096
  /// How often a failed attempt may be started again.
  public static let retries = 0...100
  /// Which priorities there are; a greater one goes first.
  public static let priorities = 0...10
  /// The priority of a job that names none.
  public static let usualPriority = 5
  /// A fence of a job's own, in seconds: below, a pause of a busy machine would end ranks; above, the
  /// network's own comes first.
  public static let fenceSeconds = 3.0...30.0
  /// GPUs of one rank.
  public static let gpus = 0...1024
  /// Cores of one rank.
  public static let cpus = 0.001...4096.0
  /// Places that are held for lost ranks.
  public static let spares = 0...64
  /// Conditions on labels.
  public static let labelLimit = 32
  /// Strategies after the first.
  public static let fallbackLimit = 8
  /// The longest name, in characters.
  public static let nameLength = 128
}
