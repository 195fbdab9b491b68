/// What became of all GPUs (or nodes, for a job that asks for none) on the way to a refusal. Each is
/// counted once: `seen` is the sum of the steps and of `left`.
public struct PlacementFunnel: Hashable, Codable, Sendable {
  /// Those that ended at one requirement.
  public struct Step: Hashable, Codable, Sendable {
    /// How many.
    public var count: Int
    /// Why, in words that follow the number: `not verified`.
    public var words: String

    /// Describes a step.
    public init(count: Int, words: String) {
      self.count = count
      self.words = words
    }
  }

  /// What is counted: `GPU` or `node`.
  public var noun: String
  /// All that there are.
  public var seen: Int
  /// Where they ended, in order.
  public var steps: [Step]
  /// Those that could be given to the job.
  public var left: Int
  /// How many it needs; `nil` for nodes, which take as many ranks as they have room for.
  public var needed: Int?

  /// Describes a funnel.
  public init(noun: String, seen: Int, steps: [Step], left: Int, needed: Int?) {
    self.noun = noun
    self.seen = seen
    self.steps = steps
    self.left = left
    self.needed = needed
  }
}
