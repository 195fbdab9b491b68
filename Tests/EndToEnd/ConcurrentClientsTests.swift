import Foundation
import Testing

extension RealProcesses {
  /// Several commands of one person at once: they share the state folder's client key.
  @Suite(.serialized)
  struct `Commands at the same time` {
    @Test(.timeLimit(.minutes(3)))
    func `do not disturb each other`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let script = "i=0; while [ $i -lt 40 ]; do echo n$i; i=$((i+1)); sleep 0.1; done"
        let waiting = try (1...3).map { number in
          try network.start(["submit", "--name", "job-\(number)", "--", "sh", "-c", script])
        }
        for submit in waiting { try await submit.prints("n1\n") }
        while waiting.contains(where: \.isRunning) {
          let status = try await network.iorun("status", "--json")
          #expect(status.status == 0, "\(status)")
          #expect(status.elapsed < .seconds(3), "\(status)")
        }
        for submit in waiting {
          let result = try await submit.finish()
          #expect(result.status == 0, "\(result)")
          #expect(result.lines == (0..<40).map { "n\($0)" }, "\(result)")
          #expect(!result.errors.contains("out of reach"), "\(result)")
          #expect(result.elapsed < .seconds(15), "it hears of the end at once: \(result)")
        }
      }
    }
  }
}
