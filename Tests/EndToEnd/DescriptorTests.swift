import Foundation
import Glibc
import Testing

extension RealProcesses {
  /// A head that may have few files and sockets open.
  @Suite(.serialized)
  struct `A head without descriptors` {
    private static let limit = 192

    @Test(.timeLimit(.minutes(2)))
    func `keeps who is linked, says what it lacks, and lets others in when there is room`()
      async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        let port = try FreePort.any()
        let head = try RunningCommand(
          "/usr/bin/prlimit",
          [
            "--nofile=\(Self.limit):\(Self.limit)", Binaries.iorun, "head", "--listen",
            "127.0.0.1:\(port)", "--verification", "off",
          ], scratch: network.root + "/commands",
          environment: ["IORUN_STATE_DIR": network.state], directory: network.root)
        try await head.prints("ticket create --role supplier")
        let follower = try network.start(
          ["join", "-", "--name", "early", "--cpus", "1", "--isolation", "open"],
          state: network.root + "/early",
          input: try await `A ticket`.ticket(.supplier, network))
        try await eventually("a node is there") {
          try await network.nodeStates()["early"] == "alive"
        } detail: {
          follower.errors
        }
        let strangers = try (0..<Self.limit).map { _ in try StrangerSocket.open(port: port) }
        try await head.prints("no file descriptor is left for a new peer")
        for stranger in strangers { close(stranger) }
        try await eventually("clients are let in again, and the node was never lost") {
          try await network.nodeStates() == ["early": "alive"]
        } detail: {
          head.errors
        }
        let job = try await network.iorun("submit", "--", "echo", "well")
        #expect(job.output == "well\n", "\(job) \(head.errors)")
        follower.signal(SIGINT)
        #expect(try await follower.finish(within: .seconds(15)).status == 0)
        head.signal(SIGINT)
        #expect(try await head.finish(within: .seconds(15)).status == 0)
      }
    }
  }
}
