import CShim
import Glibc
import IorunContract
import IorunCore

extension RankVisit {
  /// How long a connection to the rank may take.
  private static let patience = Duration.seconds(5)
  private static let loopback: [[UInt8]] = [
    [127, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  ]

  /// Connects to a port on the rank's loopback, in its own network where it has one; there a server
  /// may also listen only at the address under which the gang knows the node. Throws
  /// `connectionRefused`, `rankEnded`.
  static func connection(to port: UInt16, _ view: RankView) async throws -> RankVisit {
    await view.process.untilRunning()
    let namespaces = try await Blocking.run { try view.process.namespaces() }
    guard let namespaces else {
      throw IorunError(.rankEnded, "the rank's process has ended")
    }
    var reason = ECONNREFUSED
    var addresses = loopback
    // Of a network that it shares with the machine, a rank's visitors get the loopback alone.
    if namespaces.network >= 0, let network = view.launch.network {
      addresses += network.addresses.map { SocketAddress($0, port: port).address }
    }
    for address in addresses {
      let number = try await Blocking.run {
        iorun_tcp_begin_connect(namespaces.network, address, Int32(address.count), port)
      }
      guard number >= 0 else {
        reason = -number
        continue
      }
      let connection = try Descriptor(adopting: number)
      let timer = Task {
        try await Task.sleep(for: patience)
        connection.close()
      }
      await connection.writable()
      let result = iorun_tcp_connect_result(connection.number)
      timer.cancel()
      if result == 0 {
        return RankVisit { stream in
          // Either side's end is told to the other by `join`; nobody here asks how it was.
          try? await connection.join(stream)
        } abandon: {
          connection.close()
        }
      }
      reason = -result
    }
    throw IorunError(
      .connectionRefused,
      "nothing answers at port \(port) in the rank: \(String(cString: strerror(reason)))",
      remedy: "Check that its program listens there on 127.0.0.1, 0.0.0.0 or its gang's address")
  }
}
