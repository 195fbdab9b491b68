import CWanLink
import Glibc

/// A running link between two network namespaces: a TUN device in each, and packets in between.
/// Everything happens on the thread that calls `run`.
public final class LinkForwarder {
  /// One end.
  public struct End: Sendable {
    /// The namespace's file: `/run/netns/NAME` or `/proc/PID/ns/net`.
    public var namespacePath: String
    /// The device's IPv4 address.
    public var address: String

    /// Describes an end.
    public init(namespacePath: String, address: String) {
      self.namespacePath = namespacePath
      self.address = address
    }
  }

  /// The name of the device at both ends.
  public static let deviceName = "wan0"
  private static let mtu = 1500

  private let devices: [Int32]
  private let timer: Int32
  private let directions: [LinkDirection]

  /// Makes the devices, up and with their addresses.
  ///
  /// - Throws: `WanLinkError` where the kernel refuses.
  public init(_ one: End, _ other: End, settings: LinkSettings, seed: UInt64) throws {
    func device(_ end: End, _ peer: End) throws -> Int32 {
      try WanLinkError.check(
        iorun_wanlink_tun(
          end.namespacePath, Self.deviceName, end.address, peer.address, Int32(Self.mtu)),
        "make a TUN device in \(end.namespacePath)")
    }
    let first = try device(one, other)
    do {
      let second = try device(other, one)
      do {
        timer = try WanLinkError.check(iorun_wanlink_timer(), "make a timer")
      } catch {
        close(second)
        throw error
      }
      devices = [first, second]
    } catch {
      close(first)
      throw error
    }
    directions = [
      LinkDirection(
        from: devices[0], to: devices[1], mtu: Self.mtu,
        model: LinkModel(settings, seed: seed)),
      LinkDirection(
        from: devices[1], to: devices[0], mtu: Self.mtu,
        model: LinkModel(settings, seed: ~seed)),
    ]
  }

  deinit {
    // The devices go with their descriptors.
    for descriptor in devices + [timer] { close(descriptor) }
  }

  /// Carries packets until `endSignals` is readable or standard input ends.
  public func run(endSignals: Int32) {
    var polled = (devices + [timer, endSignals, STDIN_FILENO]).map {
      pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
    }
    var armed: Duration?
    while true {
      guard poll(&polled, nfds_t(polled.count), -1) >= 0 || errno == EINTR else { return }
      if polled[3].revents != 0 || (polled[4].revents != 0 && Self.inputEnded()) { return }
      if polled[2].revents != 0 {
        var expirations: UInt64 = 0
        _ = read(timer, &expirations, 8)
        armed = nil
      }
      let now = Duration.nanoseconds(iorun_wanlink_now())
      for (index, direction) in directions.enumerated() where polled[index].revents != 0 {
        direction.take(at: now)
      }
      for direction in directions { direction.deliver(at: now) }
      let next = directions.compactMap(\.nextArrival).min()
      if next != armed {
        // A time of 0 would stop the timer, but the machine's clock is past that.
        _ = iorun_wanlink_arm(timer, next.map { Int64($0 / .nanoseconds(1)) } ?? 0)
        armed = next
      }
    }
  }

  private static func inputEnded() -> Bool {
    var ignored = [UInt8](repeating: 0, count: 256)
    let count = read(STDIN_FILENO, &ignored, ignored.count)
    return count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)
  }
}
