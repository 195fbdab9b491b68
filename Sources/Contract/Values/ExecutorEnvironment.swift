/// The environment variables through which an agent tells a rank's process how to reach it. Only
/// programs that use the actor runtime read them.
public enum ExecutorEnvironment {
  /// The ZeroMQ address of the agent's socket on this machine.
  public static let agentAddress = "IORUN_AGENT_ADDRESS"
  /// The agent's Curve25519 public key, in base 32.
  public static let agentKey = "IORUN_AGENT_KEY"
  /// The process's own Curve25519 secret, in base 32: made for one lease, worthless after it.
  public static let secret = "IORUN_EXECUTOR_SECRET"
}
