internal import Foundation

/// The one error that iorun shows to people and sends between processes: a stable code, what
/// happened, and what to do about it.
public struct IorunError: Error, Codable, Sendable, Hashable {
  /// A stable, documented reason. New codes may be added; a number never changes its meaning.
  public struct Code: RawRepresentable, Codable, Sendable, Hashable, CustomStringConvertible {
    /// The number behind `IOR-`.
    public let rawValue: Int

    /// Makes a code from its number.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The code as people see it, for example `IOR-1002`.
    public var description: String { "IOR-\(rawValue)" }
  }

  /// Why it happened, for programs.
  public var code: Code

  /// What happened, for a person; one sentence without a final full stop.
  public var message: String

  /// What the person can do about it, where there is something.
  public var remedy: String?

  /// The error underneath, flattened to text so that it survives the wire.
  public var cause: String?

  /// Makes an error. `cause` is flattened to text at once.
  public init(
    _ code: Code, _ message: String, remedy: String? = nil, cause: (any Error)? = nil
  ) {
    self.code = code
    self.message = message
    self.remedy = remedy
    self.cause = cause.map(Self.words)
  }

  /// What Foundation throws of files would describe itself with its whole dictionary.
  private static func words(_ error: any Error) -> String {
    guard error is CocoaError else { return String(describing: error) }
    let outer = error as NSError
    let inner = outer.userInfo[NSUnderlyingErrorKey] as? NSError
    if let inner, inner.domain == NSPOSIXErrorDomain {
      return String(cString: strerror(Int32(inner.code)))
    }
    return outer.localizedDescription
  }
}

extension IorunError: CustomStringConvertible {
  /// `IOR-1002: message (cause). What to do.` on one line.
  public var description: String {
    var text = "\(code): \(message)"
    if let cause { text += " (\(cause))" }
    if let remedy { text += ". \(remedy)" }
    return text
  }
}

extension IorunError.Code {
  // 10xx: admission and identity.

  /// The ticket cannot be read, or the head does not know it.
  public static let ticketInvalid = Self(rawValue: 1001)
  /// The ticket's time is over.
  public static let ticketExpired = Self(rawValue: 1002)
  /// The ticket has been used as often as it allows, or was revoked.
  public static let ticketSpent = Self(rawValue: 1003)
  /// The head does not admit this peer's key.
  public static let keyNotAdmitted = Self(rawValue: 1004)
  /// The peer's role or tenant does not allow this call.
  public static let notAllowed = Self(rawValue: 1005)
  /// A key or state file is missing, damaged or readable by others.
  public static let identityUnusable = Self(rawValue: 1006)
  /// A certificate that no authority of this network signed for this key.
  public static let certificateInvalid = Self(rawValue: 1007)
  /// A certificate that is not good yet, or no more.
  public static let certificateExpired = Self(rawValue: 1008)
  /// The peer was revoked.
  public static let peerRevoked = Self(rawValue: 1009)

  // 11xx: transport.

  /// No answer came from the peer at that address.
  public static let unreachable = Self(rawValue: 1101)
  /// The call's deadline passed; it may or may not have run.
  public static let timedOut = Self(rawValue: 1102)
  /// The peer restarted or was declared dead; the call may or may not have run.
  public static let peerLost = Self(rawValue: 1103)
  /// Bytes that no iorun peer would send.
  public static let malformed = Self(rawValue: 1104)
  /// A message is larger than its class allows.
  public static let tooLarge = Self(rawValue: 1105)
  /// A bounded queue is full; nothing was dropped silently.
  public static let overloaded = Self(rawValue: 1106)
  /// The peers speak different protocol versions.
  public static let versionMismatch = Self(rawValue: 1107)
  /// The address is in use by another process.
  public static let addressInUse = Self(rawValue: 1108)

  // 12xx: distributed actors.

  /// No such actor lives at that peer.
  public static let actorNotFound = Self(rawValue: 1201)
  /// The actor has no such distributed method.
  public static let targetNotFound = Self(rawValue: 1202)
  /// A remote method threw an error that cannot cross the wire as itself.
  public static let remoteFailure = Self(rawValue: 1203)
  /// The caller gave up.
  public static let cancelled = Self(rawValue: 1204)

  // 13xx: jobs and specs.

  /// The job spec, or a flag, is wrong.
  public static let specInvalid = Self(rawValue: 1301)
  /// A file that the job needs is not there.
  public static let fileMissing = Self(rawValue: 1302)
  /// No node or set of nodes can ever run this job as it is.
  public static let noPlacement = Self(rawValue: 1303)
  /// The job ended without success.
  public static let jobFailed = Self(rawValue: 1304)
  /// No job, node, ticket or output by that name.
  public static let notFound = Self(rawValue: 1305)
  /// The request is right, but not in the present state.
  public static let wrongState = Self(rawValue: 1306)

  // 14xx: this machine.

  /// A read, write or rename on this machine failed.
  public static let fileSystem = Self(rawValue: 1401)
  /// There is no room left on a disk.
  public static let diskFull = Self(rawValue: 1402)
  /// A local network is already running on the state folder.
  public static let alreadyRunning = Self(rawValue: 1403)
  /// No local network is running on the state folder.
  public static let notRunning = Self(rawValue: 1404)
  /// A process could not be started.
  public static let spawnFailed = Self(rawValue: 1405)

  /// The kernel, or a program, refused what the network of a gang needs.
  public static let networkSetup = Self(rawValue: 1410)

  /// This machine cannot, or must not, run the work in the sandbox that it needs.
  public static let sandboxUnavailable = Self(rawValue: 1420)
  /// The kernel, or a program, refused a step of making or ending a sandbox.
  public static let sandboxFailed = Self(rawValue: 1421)
  /// Encrypted scratch could not be made, or does not hold what was written.
  public static let scratchFailed = Self(rawValue: 1422)
  /// An image of a root file system is damaged, or harmful.
  public static let imageInvalid = Self(rawValue: 1423)

  // 15xx: tasks, actors and objects.

  /// The object store, with its spill quota, cannot hold the object.
  public static let storeFull = Self(rawValue: 1501)
  /// No reachable node has the object.
  public static let objectLost = Self(rawValue: 1502)
  /// A runtime environment could not be built.
  public static let environmentFailed = Self(rawValue: 1503)
  /// A process of a runtime job is gone.
  public static let processLost = Self(rawValue: 1504)

  // 16xx: reaching into ranks.

  /// The rank that is to be reached does not run any more.
  public static let rankEnded = Self(rawValue: 1601)
  /// Nothing answers at that port of the rank.
  public static let connectionRefused = Self(rawValue: 1602)
  /// Some of the files were not copied.
  public static let copyIncomplete = Self(rawValue: 1603)

  // 17xx: what is offered.

  /// A device's description cannot be, or contradicts what is known of it.
  public static let deviceInvalid = Self(rawValue: 1701)

  // 18xx: proof of work.

  /// A proof, or a commitment, was not accepted.
  public static let proofRefused = Self(rawValue: 1801)
  /// A puzzle needs more memory than there is, or than it may take.
  public static let noMemoryForProof = Self(rawValue: 1802)
  /// A kernel gave other results than it must.
  public static let kernelBroken = Self(rawValue: 1803)
  /// There is no GPU that could be used, or no driver for it.
  public static let gpuMissing = Self(rawValue: 1811)
  /// Something else computes on the GPU.
  public static let gpuBusy = Self(rawValue: 1812)
  /// The GPU's driver reported a fault.
  public static let gpuFault = Self(rawValue: 1813)

  /// A fault of iorun itself.
  public static let internalFault = Self(rawValue: 1901)
}
