/// The environment variables that the node's agent sets for every rank. A spec that sets one of
/// them is refused, because the gang would not find itself.
public enum ReservedEnvironment {
  /// Names that a spec must not set.
  public static let names: Set<String> = [
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE",
    "MASTER_ADDR", "MASTER_PORT", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "JAX_COORDINATOR_ADDRESS", "TMPDIR",
  ]

  /// Beginnings of names that a spec must not set.
  public static let prefixes = ["IORUN_", "TORCHELASTIC_"]

  /// True where a spec must not set `name`.
  public static func contains(_ name: String) -> Bool {
    names.contains(name) || prefixes.contains { name.hasPrefix($0) }
  }

  /// Refuses an environment that sets a reserved variable, or one that no process can have.
  /// Throws `specInvalid`.
  public static func check(_ environment: [String: String]) throws {
    for name in environment.keys.sorted() {
      if contains(name) {
        throw IorunError(
          .specInvalid, "env sets '\(name)', which iorun sets for every rank",
          remedy: "Remove it, or use another name")
      }
      let value = environment[name, default: ""]
      if name.isEmpty || name.contains("=") || name.utf8.contains(0) || value.utf8.contains(0) {
        throw IorunError(
          .specInvalid, "env has the variable '\(name)', which no process can have",
          remedy: "Use a name without '=' and a value without zero bytes")
      }
    }
  }
}
