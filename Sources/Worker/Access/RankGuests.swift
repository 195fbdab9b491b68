import IorunContract
import IorunCore

/// People who reach into this node's ranks, as the agent sees them.
protocol RankGuests: Sendable {
  /// The head lets a client's process reach a rank for a while.
  func admit(_ pass: ClientPass) async
  /// A rank's process is gone: returns once nothing that people started beside it is left.
  func rankEnded(_ lease: LeaseID, _ cause: ExitCause) async
}

/// A running rank as people may reach it.
struct RankView: Sendable {
  /// Its process.
  let process: RankProcess
  /// What it was started with: environment, folder.
  let launch: RankProcess.Launch
  /// Its folders.
  let folder: LeaseFolder
}
