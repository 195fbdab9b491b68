import IorunContract
import IorunCore

/// What the agent has in its hands for one lease, beside the entry in the `LeaseTable`: tasks,
/// process, log.
struct HeldLease {
  /// The grant.
  let grant: LeaseGrant
  /// Its folders.
  var folder: LeaseFolder
  /// Fetches and prepares; ends with the answer for the head.
  var preparation: Task<LeasePrepared, any Error>?
  /// The image that is its root; `nil` for the node's own programs.
  var image: ImageStore.Image?
  /// Its log, where it began before the process did.
  var log: RankLog?
  /// Sends that log.
  var sending: Task<Void, any Error>?
  /// The variables of the process's identity; `nil` while there is none to give back.
  var executor: [String: String]?
  /// Starts the process.
  var launching: Task<Void, Never>?
  /// The process, once started.
  var process: RankProcess?
  /// What it was started with.
  var launch: RankProcess.Launch?
  /// Why it is to stop; the first reason counts.
  var stopCause: ExitCause?
  /// Carries the process from its start to its reported end.
  var life: Task<Void, Never>?
  /// Stops the process when the spec's time is over.
  var timeout: Task<Void, Never>?
  /// Ends the process, hard after the grace.
  var termination: Task<Void, Never>?
  /// Tells the head each new state.
  var reporting: Task<Void, Never>?
  /// Gives everything back.
  var removal: Task<Void, Never>?
  /// Wakes `reporting`.
  let changes: AsyncStream<Void>
  /// An element for each change of state.
  let changed: AsyncStream<Void>.Continuation

  init(grant: LeaseGrant, folder: LeaseFolder) {
    self.grant = grant
    self.folder = folder
    (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }
}
