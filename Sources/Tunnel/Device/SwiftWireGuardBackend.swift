internal import CTunnel
internal import Foundation
internal import IorunCore

/// Our own WireGuard: handshakes in Swift, packets in C on threads of their own. Works on every
/// kernel with TUN devices.
public struct SwiftWireGuardBackend: TunnelBackend {
  /// One thread for both directions, or one for each, which is faster where cores are to spare.
  public enum Threads: Int, Sendable {
    case one = 1
    case two = 2
  }

  private let threads: Threads

  /// Makes the backend.
  public init(threads: Threads = .one) { self.threads = threads }

  /// `iorun`.
  public var name: String { "iorun" }

  /// Makes a TUN device and removes it at once.
  public func probe() async -> TunnelSupport {
    do {
      let suffix = String(UInt32.random(in: 0...0xFF_FFFF), radix: 36)
      let config = TunnelConfig(
        interfaceName: "ioprobe\(suffix)", privateKey: try TunnelPrivateKey(), addresses: [])
      let tun = try await Blocking.run { try Self.makeInterface(config, namespace: -1) }
      Glibc.close(tun)
      return .available
    } catch let error as IorunError {
      return .unavailable(error.message)
    } catch {
      return .unavailable("\(error)")
    }
  }

  /// Makes a tunnel; see ``TunnelBackend``.
  public func open(
    _ config: TunnelConfig, in place: TunnelPlace
  ) async throws -> any TunnelDevice {
    try config.check()
    let threads = threads
    return try await Blocking.run {
      try SwiftWireGuard(config, place: place, threads: threads.rawValue)
    }
  }

  /// The descriptor of a new interface with its addresses.
  static func makeInterface(_ config: TunnelConfig, namespace: Int32) throws -> Int32 {
    let addresses = config.addresses.map { ct_interface_address($0) }
    let result = config.interfaceName.withCString { name in
      addresses.withUnsafeBufferPointer { list -> Int32 in
        var options = ct_tun_options(
          name: name, mtu: Int32(config.mtu), addresses: list.baseAddress,
          address_count: list.count, namespace_fd: namespace)
        return ct_tun_create(&options)
      }
    }
    guard result < 0 else { return result }
    throw fault("cannot make the interface '\(config.interfaceName)'", -result)
  }

  static func fault(_ what: String, _ number: Int32) -> IorunError {
    let reason = String(cString: strerror(number))
    switch number {
    case EPERM, EACCES:
      return IorunError(
        .notAllowed, "\(what): \(reason)",
        remedy: "Run the agent with CAP_NET_ADMIN, and let it open /dev/net/tun")
    case ENOENT, ENODEV, ENXIO:
      return IorunError(
        .internalFault, "\(what): this machine has no /dev/net/tun",
        remedy: "Load the tun module, or give the container the device")
    case EBUSY, EADDRINUSE, EEXIST:
      return IorunError(.addressInUse, "\(what): \(reason)", remedy: "Choose another one")
    default: return IorunError(.internalFault, "\(what): \(reason)")
    }
  }
}
