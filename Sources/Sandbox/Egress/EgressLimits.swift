public import IorunCore

/// How much of a network one sandbox may take.
public struct EgressLimits: Hashable, Sendable, Codable {
  /// The most new connections in a second.
  public var newConnectionsPerSecond: Int
  /// The most connections at a time.
  public var connections: Int
  /// The most that it may send in a second; `nil`: as much as the link carries.
  public var sentPerSecond: Bytes?
  /// The most that it may receive in a second; `nil`: as much as the link carries.
  public var receivedPerSecond: Bytes?

  /// Sets limits.
  public init(
    newConnectionsPerSecond: Int = 200, connections: Int = 4096, sentPerSecond: Bytes? = nil,
    receivedPerSecond: Bytes? = nil
  ) {
    self.newConnectionsPerSecond = newConnectionsPerSecond
    self.connections = connections
    self.sentPerSecond = sentPerSecond
    self.receivedPerSecond = receivedPerSecond
  }

  /// Keeps an interface of a namespace to the two rates: what it sends waits, and what it receives beyond
  /// them is dropped, so that its senders slow down. It goes with the namespace. Blocks shortly.
  ///
  /// - Parameter interface: a name that is none of a stranger's choosing.
  /// - Throws: `sandboxFailed` where tc(8) or nft(8) is missing or refuses.
  public func apply(to interface: String, in namespace: Int32) throws {
    if let rate = sentPerSecond {
      _ = try EgressRouter.run(
        "tc", ["-batch", "-"], input: Self.bucket(rate, on: interface), network: namespace)
    }
    if let rate = receivedPerSecond {
      // A twentieth of a second's worth may come at once.
      let burst = min(max(rate.rawValue / 20, 256 << 10), 1 << 30)
      let rules = """
        table inet iorun-rate {
          chain received {
            type filter hook input priority -10; policy accept;
            iifname "\(interface)" limit rate over \(max(rate.rawValue, 1024)) bytes/second burst \(burst) bytes drop
          }
        }

        """
      _ = try EgressRouter.run("nft", ["-f", "-"], input: rules, network: namespace)
    }
  }

  /// What tc(8) reads to keep an interface to `rate`, as a token bucket (tc-tbf(8)): a hundredth of a
  /// second's worth, and at least two of the largest segments, may go out at once.
  static func bucket(_ rate: Bytes, on interface: String) -> String {
    let burst = max(rate.rawValue / 100, 128 << 10)
    let bits = max(rate.rawValue, 1024).multipliedReportingOverflow(by: 8)
    let bitsPerSecond = bits.overflow ? UInt64.max / 8 : bits.partialValue
    return "qdisc replace dev \(interface) root tbf rate \(bitsPerSecond)bit "
      + "burst \(min(burst, 1 << 30))b latency 50ms\n"
  }
}
