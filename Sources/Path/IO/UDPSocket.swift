internal import CPath
internal import CShim
internal import Foundation
public import IorunCore
internal import Synchronization

/// A UDP socket on all addresses of the machine, with a thread that hands over what comes in.
public final class UDPSocket: DatagramChannel {
  /// The port.
  public let port: UInt16
  private let descriptor: Int32
  private let stopSignal: Int32
  private let receiver = Mutex(Receiver())
  private let isClosed = Mutex(false)

  /// Who takes what comes in. A struct, because a closure that is a generic type's value itself is
  /// wrapped once more each time that it is read, and then written back so (Swift 6.3): after a million
  /// datagrams each call went through a million wrappers.
  private struct Receiver {
    var take: (@Sendable ([UInt8], SocketAddress) -> Void)?
  }

  /// Opens the socket.
  ///
  /// - Parameters:
  ///   - address: one of the machine's addresses; `nil`: all of them.
  ///   - port: 0: any free one.
  /// - Throws: `addressInUse` or `fileSystem` where the kernel refuses.
  public init(on address: SocketAddress? = nil, port: UInt16 = 0) throws {
    descriptor = try Self.open(on: address, port: port, gro: false)
    let chosen = iorun_udp_port(descriptor)
    stopSignal = iorun_eventfd_create()
    guard chosen > 0, stopSignal >= 0 else {
      close(descriptor)
      throw IorunError(.internalFault, "a UDP socket could not be made ready")
    }
    self.port = UInt16(chosen)
    let thread = Thread { [weak self, descriptor, stopSignal] in
      Self.receive(descriptor, stopSignal) { bytes, from in
        guard let self else { return }
        self.receiver.withLock({ $0.take })?(bytes, from)
      }
    }
    thread.name = "path-udp"
    thread.start()
  }

  deinit { shut() }

  /// Sends one datagram; see `DatagramChannel`.
  public func send(_ datagram: [UInt8], to address: SocketAddress, timeToLive: Int?) {
    isClosed.withLock { isClosed in
      guard !isClosed else { return }
      var native = address.native
      _ = iorun_udp_send(
        descriptor, &native, datagram, datagram.count, Int32(timeToLive ?? 0))
    }
  }

  /// Sets who takes what comes in; see `DatagramChannel`.
  public func onDatagram(_ handler: (@Sendable ([UInt8], SocketAddress) -> Void)?) {
    receiver.withLock { $0.take = handler }
  }

  /// Datagrams that do not fit the way are refused from now on instead of cut into pieces.
  func probeMTU(_ isOn: Bool) { _ = iorun_udp_probe_mtu(descriptor, isOn ? 1 : 0) }

  /// Ends the thread and closes the socket.
  public func shut() {
    isClosed.withLock { isClosed in
      guard !isClosed else { return }
      isClosed = true
      // The thread closes both: nobody may close what it waits on.
      _ = iorun_eventfd_signal(stopSignal)
    }
  }

  static func open(on address: SocketAddress?, port: UInt16, gro: Bool) throws -> Int32 {
    let result: Int32
    if let address {
      var native = address.native
      result = iorun_udp_open(&native, port, gro ? 1 : 0)
    } else {
      result = iorun_udp_open(nil, port, gro ? 1 : 0)
    }
    return try PathFailure.check(result, "open UDP port \(port)")
  }

  private static func receive(
    _ descriptor: Int32, _ stopSignal: Int32, _ handle: ([UInt8], SocketAddress) -> Void
  ) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var polled = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: stopSignal, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      poll(&polled, 2, -1)
      if polled[1].revents != 0 { break }
      // Bounded, so that a flood does not hide the order to stop.
      for _ in 0..<256 {
        var from = iorun_path_address()
        let count = iorun_udp_receive(descriptor, &from, &buffer, buffer.count)
        if count == -Int(ECONNREFUSED) { continue }
        guard count >= 0 else { break }
        if let address = SocketAddress(from) { handle(Array(buffer.prefix(count)), address) }
      }
    }
    close(descriptor)
    close(stopSignal)
  }
}
