internal import IorunContract

/// Names a call to a node's agent, so that the same one is not under way twice.
enum AgentCall: Hashable, Sendable {
  case prepare(LeaseID)
  case start(LeaseID)
  case stop(LeaseID)
  case forget(LeaseID)
}
