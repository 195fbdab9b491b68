/// What went wrong in the example, in a sentence for the person who started it.
public struct TrainingError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What happened and what to do.
  public let description: String

  /// Makes an error from its sentence.
  public init(_ description: String) { self.description = description }
}
