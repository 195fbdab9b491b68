internal import IorunCore

/// A job of a trace. Its running time is known to the simulation, and to a policy only where it says so.
public struct SimulatedJob: Sendable, Hashable {
  /// When it came.
  public var submittedAtSeconds: Double
  /// How long it runs on all its GPUs, from start to end without a break.
  public var runtimeSeconds: Double
  /// How many GPUs, all at once or none.
  public var gpus: Int
  /// Whose it is.
  public var tenant: Int

  /// Describes a job.
  ///
  /// - Throws: `specInvalid` for times that are negative or not finite, and for no GPU.
  public init(submittedAtSeconds: Double, runtimeSeconds: Double, gpus: Int, tenant: Int) throws {
    guard submittedAtSeconds >= 0, submittedAtSeconds.isFinite, runtimeSeconds >= 0,
      runtimeSeconds.isFinite, (1...1_000_000).contains(gpus), tenant >= 0
    else {
      throw IorunError(
        .specInvalid,
        "no job comes at \(submittedAtSeconds) s, runs \(runtimeSeconds) s and takes \(gpus) GPUs",
        remedy: "Times are seconds from 0 on, GPUs a number from 1 to 1,000,000")
    }
    self.submittedAtSeconds = submittedAtSeconds
    self.runtimeSeconds = runtimeSeconds
    self.gpus = gpus
    self.tenant = tenant
  }
}
