public import IorunContract
public import IorunPoW

/// How the head asks for proofs.
public struct ProofSettings: Sendable {
  /// Whether it asks, and what follows from the answers.
  public var mode = VerificationMode.off
  /// How long the work of a round takes a device that is what it claims; a walk over memory takes a
  /// fifth of that.
  public var round: Duration = .seconds(5)
  /// The same for a device of which nothing is on record: it is to be of use within seconds. Rounds
  /// are longer where the way to it is, and whole ones decide again within the hour.
  public var admissionRound: Duration = .milliseconds(500)
  /// The part of a device's memory that it is asked to fill: the system, and the proof itself, need
  /// some.
  public var memoryShare = 0.75
  /// How long filling memory may take: of much memory with few cores only a part is filled.
  public var fill: Duration = .seconds(60)
  /// How long the lane check of a hired device takes.
  public var laneCheck: Duration = .seconds(1)
  /// How much longer than its work an answer may be on its way, before the round counts as unanswered.
  public var slack: Duration = .seconds(5)
  /// The most devices that are asked at the same instant, unless a group of conflict is larger.
  public var burst = 1024
  /// From one burst of an hour to the next.
  public var burstSpacing: Duration = .seconds(60)
  /// A group of conflict is called out of turn no more often than this.
  public var callPause: Duration = .seconds(120)
  /// How soon a device that said that jobs have it is asked again.
  public var busyPause: Duration = .seconds(30)
  /// How many answers a device may hand in within a minute.
  public var answersAMinute = 60
  /// How often the way to a device, and its disk, are probed.
  public var probePeriod: Duration = .seconds(6 * 3600)
  /// For how long bytes are streamed each way to measure a device's line, as often; nothing: never.
  public var stream: Duration = .zero
  /// What models are expected to do; those with too few devices count for nothing.
  public var catalogue = ModelCatalogue.builtIn
  /// For how many epochs verdicts and transitions are kept.
  public var keptEpochs: Int64 = 30 * 24

  /// The settings of a network in ordinary use, which does not ask.
  public init() {}
}
