public import Foundation
public import IorunCore

// What the head and the nodes do for each other and for clients. The distributed actors in
// `Actors/` carry these calls across the mesh; the implementations live in `Head` and `Worker`, so
// that neither imports the other. `caller` is the peer that CURVE and ZAP proved.

/// Jobs: submit, watch, read, cancel. Served by the head to clients.
public protocol JobService: Sendable {
  /// Accepts a job. Once this returns, the job survives a crash of the head. The same
  /// `submissionID` from the same caller gives the same job.
  func submit(_ request: SubmitRequest, caller: PeerID) async throws -> JobStatus
  /// The caller's jobs, newest first; all jobs for an operator. `limit` is capped at 1,000.
  func jobs(limit: Int, caller: PeerID) async throws -> [JobStatus]
  /// One job, at once if its revision is above `revision`, else when that happens or
  /// `waitMilliseconds` (at most 20,000) have passed.
  func watch(_ job: JobID, after revision: Int64, waitMilliseconds: Int, caller: PeerID)
    async throws -> JobStatus
  /// Asks for the end of a job; returns at once. Cancelling a job that is over changes nothing.
  func cancel(_ job: JobID, caller: PeerID) async throws -> JobStatus
  /// Log bytes after `cursors`; ranks without a cursor are read from their start (only `rank`,
  /// where given). Waits up to `waitMilliseconds` (at most 20,000) for new ones.
  func logs(
    _ job: JobID, rank: Int?, cursors: [LogCursor], waitMilliseconds: Int, caller: PeerID
  ) async throws -> LogBatch
  /// What the ranks above `rank` of a job that succeeded left behind, by rank and as many as fit
  /// into an answer; ranks that left nothing are passed over. Empty when there are no more; -1
  /// begins at rank 0.
  func outputs(_ job: JobID, after rank: Int, caller: PeerID) async throws -> [RankOutputs]
  /// Lets the caller's process of number `instance` reach a running rank, for as long as a
  /// `ClientPass` is good; called again, for longer. Throws `notFound` but for the job's owner, its
  /// tenant's peers and operators, `rankEnded`, and `wrongState` for a rank that does not run yet.
  func attach(_ job: JobID, rank: Int, instance: UInt64, caller: PeerID) async throws -> Attachment
}

/// Content-addressed chunks. Served by the head to clients and nodes.
public protocol ContentService: Sendable {
  /// Those of `digests` (at most 4,096) that are not here.
  func missing(of digests: [Digest], caller: PeerID) async throws -> [Digest]
  /// Keeps a chunk of at most `Blob.chunkSize` bytes; durable once this returns. The head hashes
  /// the bytes itself.
  func put(_ chunk: Data, caller: PeerID) async throws -> Digest
  /// A chunk's bytes.
  func get(_ digest: Digest, caller: PeerID) async throws -> Data
}

/// Nodes: registration, heartbeats, what happens to leases. Served by the head to nodes.
public protocol NodeService: Sendable {
  /// A node is here (again), with the leases it holds.
  func register(_ registration: NodeRegistration, caller: PeerID) async throws -> NodeOrders
  /// A node is still here. `leases` are the leases it holds.
  func heartbeat(leases: [LeaseID], roundTripMilliseconds: Double?, caller: PeerID) async throws
    -> NodeOrders
  /// The node's owner lets it take new work, or no more.
  func announce(_ availability: NodeAvailability, caller: PeerID) async throws
  /// A lease changed. Durable once this returns; the same report twice changes nothing.
  func report(_ report: LeaseReport, caller: PeerID) async throws
  /// Log bytes of a lease from `offset`; returns the length the head now has, from which the node
  /// goes on. Bytes the head already has are ignored.
  func appendLog(_ lease: LeaseID, epoch: Int64, offset: Int64, bytes: Data, caller: PeerID)
    async throws -> Int64
  /// What a node has measured of its ways to others; answers whom to measure next.
  func measured(_ measurements: NodeMeasurements, caller: PeerID) async throws -> ProbeOrders
  /// A node goes for good, in order.
  func leave(caller: PeerID) async throws
}

/// The network itself. Served by the head to clients.
public protocol NetworkService: Sendable {
  /// The network at a glance.
  func status(caller: PeerID) async throws -> NetworkStatus
  /// All nodes, by name.
  func nodes(caller: PeerID) async throws -> [NodeStatus]
  /// The sites that the nodes are in.
  func sites(caller: PeerID) async throws -> NetworkSites
  /// Makes a ticket and returns its text; the text is shown once and not kept.
  func createTicket(_ request: TicketRequest, caller: PeerID) async throws -> String
  /// All tickets, newest first.
  func tickets(caller: PeerID) async throws -> [TicketStatus]
  /// Makes a ticket useless.
  func revokeTicket(_ id: String, caller: PeerID) async throws
  /// All peers that were ever admitted, the newest first.
  func peers(caller: PeerID) async throws -> [PeerStatus]
  /// Ends a peer's membership: its links end at once, and every node hears of it within seconds.
  /// `reference` is its id, the start of it, or its name where only one has it. Returns the peer.
  func revokePeer(_ reference: String, caller: PeerID) async throws -> PeerStatus
  /// The authority's keys, the oldest first.
  func authorities(caller: PeerID) async throws -> [AuthorityStatus]
  /// Puts a new key in the place of the authority's present one. Certificates of the old one stay good
  /// until they end, or end now where `atOnce`.
  func rotateAuthority(atOnce: Bool, caller: PeerID) async throws -> [AuthorityStatus]
  /// Gives a node no new work, or gives it work again; what runs there goes on. `reference` is its
  /// name, its id or the start of it.
  func drain(_ reference: String, isDrained: Bool, caller: PeerID) async throws -> NodeStatus
}

/// Admission. Served by the head to peers that hold a ticket's key.
public protocol AdmissionService: Sendable {
  /// Admits the peer that owns `publicKey` (32 bytes, Curve25519). The caller is the ticket.
  func admit(publicKey: [UInt8], name: String, caller: PeerID) async throws -> Admission
  /// A fresh certificate for the caller, which is a peer already, and whom to believe.
  func renew(caller: PeerID) async throws -> Admission
}

/// One node. Served by the node to its head.
public protocol AgentService: Sendable {
  /// Reserves, fetches the working folder, prepares. Returns when the rank could start at once.
  func prepare(_ grant: LeaseGrant, caller: PeerID) async throws -> LeasePrepared
  /// Starts the rank's process.
  func start(_ lease: LeaseID, epoch: Int64, gang: GangStart, caller: PeerID) async throws
  /// Stops the rank: `SIGTERM`, a grace, then `SIGKILL` to the whole tree. Returns when asked, not
  /// when done; the end is reported as `cause`. An unknown lease is no error.
  func stop(_ lease: LeaseID, cause: ExitCause, caller: PeerID) async throws
  /// The head has the lease's end on record: forget it and remove its folder.
  func forget(_ lease: LeaseID, caller: PeerID) async throws
  /// A client's process may reach a running rank for a while. Throws `notFound` for a rank that does
  /// not run here.
  func admit(_ pass: ClientPass, caller: PeerID) async throws
  /// Whether a host answers at `address` (an IP address) within `milliseconds` (at most 2,000): how
  /// the head learns whether a node that fell silent is gone, or only out of its own reach.
  func reaches(_ address: String, milliseconds: Int, caller: PeerID) async throws -> Bool
}

/// Placement. Served by the head to clients; the same decision that places accepted jobs.
public protocol PlacementService: Sendable {
  /// Where a job would run now, or why it could not. Reserves nothing.
  func plan(_ spec: JobSpec, caller: PeerID) async throws -> PlacementPlan
  /// Ways to run a job now that differ in price, round trips and reliability: 0 to 8.
  func offers(_ spec: JobSpec, caller: PeerID) async throws -> [PlacementOffer]
  /// Why a job is where it is, or why it waits. For its owner, its tenant's peers and operators.
  func explain(_ job: JobID, caller: PeerID) async throws -> JobExplanation
}

/// A rank's process asks its agent about its gang. Served by the node to its executors.
public protocol ExecutorService: Sendable {
  /// Which rank the caller is, and who the others are.
  func gang(caller: PeerID) async throws -> GangView
}
