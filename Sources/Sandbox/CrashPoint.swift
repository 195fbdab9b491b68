internal import Foundation
internal import Synchronization

/// A named moment of a lease's life at which a test has the agent die as by `kill -9`:
/// `IORUN_CRASH_AT=lease.prepared iorun join`. Without that variable, which only who starts the agent
/// can set, passing one does nothing.
///
/// Points count from the first lease that an agent takes: the trials at its start pass some of them too.
public enum CrashPoint: String, Sendable, CaseIterable {
  /// Its resources are set aside.
  case leaseReserved = "lease.reserved"
  /// Its process has an identity.
  case leaseIdentified = "lease.identified"
  /// Its folder is made.
  case leaseFolderMade = "lease.folder-made"
  /// The encrypted folder that is to hold its image is mounted.
  case scratchEncrypted = "scratch.encrypted"
  /// The image has a file system.
  case scratchFormatted = "scratch.formatted"
  /// The image is mounted.
  case scratchMounted = "scratch.mounted"
  /// Its scratch was checked and is open.
  case leaseScratchOpen = "lease.scratch-open"
  /// Its working folder is there.
  case leaseStaged = "lease.staged"
  /// Its working folder is its user's.
  case leaseGiven = "lease.given"
  /// Ready, and the head does not know it.
  case leasePrepared = "lease.prepared"
  /// The head wants it to start.
  case leaseStarting = "lease.starting"
  /// Its network is there.
  case leaseConnected = "lease.connected"
  /// Its sandbox has control groups, and no process in them.
  case sandboxLimited = "sandbox.limited"
  /// The first process of its sandbox runs.
  case sandboxStarted = "sandbox.started"
  /// Some of its log is read, and the head does not have it.
  case logRead = "log.read"
  /// Its process is known.
  case leaseRunning = "lease.running"
  /// Somebody wants it to end, and nothing has been done yet.
  case leaseStopping = "lease.stopping"
  /// Nothing of it runs any more, and the head does not know it.
  case leaseEnded = "lease.ended"
  /// Its outputs are at the head.
  case leaseCollected = "lease.collected"
  /// Its end is to be told to the head.
  case leaseFinished = "lease.finished"
  /// The head has its end and wants it forgotten.
  case leaseReturning = "lease.returning"
  /// Its image is no longer mounted.
  case scratchUnmounted = "scratch.unmounted"
  /// The key of its scratch is gone, the ciphertext is there.
  case scratchShredded = "scratch.shredded"
  /// Its scratch is gone.
  case leaseScratchClosed = "lease.scratch-closed"
  /// Its folder is gone.
  case leaseFolderRemoved = "lease.folder-removed"
  /// Its network is gone.
  case leaseDisconnected = "lease.disconnected"

  /// The variable that names one.
  public static let variable = "IORUN_CRASH_AT"

  private static let chosen = ProcessInfo.processInfo.environment[variable]
    .flatMap { CrashPoint(rawValue: $0) }
  private static let hasLease = Atomic(false)

  /// Ends this process at once where `point` is the one that was chosen.
  public static func pass(_ point: CrashPoint) {
    guard let chosen else { return }
    if point == .leaseReserved { hasLease.store(true, ordering: .relaxed) }
    if point == chosen, hasLease.load(ordering: .relaxed) { kill(getpid(), SIGKILL) }
  }
}
