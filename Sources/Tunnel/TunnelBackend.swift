/// A way to make WireGuard tunnels on this machine.
public protocol TunnelBackend: Sendable {
  /// Its name in `iorun nodes` and in what is logged, for example `kernel`.
  var name: String { get }

  /// Tries whether it works here, without leaving anything behind. May take some milliseconds.
  func probe() async -> TunnelSupport

  /// Makes a tunnel: the interface with its addresses, up, in the place that was asked for, and its
  /// UDP socket in the network namespace of the calling process, so that a program that sees only
  /// the interface cannot reach the network below. Throws `specInvalid` for a configuration that no
  /// backend takes, `notAllowed` without the right to make one, `addressInUse` where the port or the
  /// interface's name is taken, and `internalFault`.
  func open(_ config: TunnelConfig, in place: TunnelPlace) async throws -> any TunnelDevice
}

/// Whether a backend works on this machine.
public enum TunnelSupport: Sendable, Hashable {
  /// It does.
  case available
  /// It does not, with the reason in words: what is missing.
  case unavailable(String)
}

/// Where a tunnel's interface stands.
public enum TunnelPlace: Sendable, Hashable {
  /// In the network namespace of this process.
  case here
  /// In another network namespace, by a descriptor of it (`/proc/PID/ns/net` or a file in
  /// `/run/netns`) that stays the caller's and must be open during the call.
  case namespace(descriptor: Int32)
  /// Wherever the TUN device with that descriptor was made, by someone who had the right to; it has
  /// its addresses and is up, and was made with `IFF_TUN | IFF_NO_PI | IFF_VNET_HDR`. The tunnel
  /// takes the descriptor and closes it. Only our own WireGuard can use this.
  case device(descriptor: Int32)
}
