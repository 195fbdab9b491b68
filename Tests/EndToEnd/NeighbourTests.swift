import Foundation
import Testing

extension RealProcesses.`A rank in a sandbox` {
  /// A job that does its worst, and what its log says of it in the end.
  struct Nuisance: Sendable, CustomStringConvertible {
    var description: String
    var flags: [String]
    var command: [String]
    /// The limit that is named.
    var says: String
    var fillsLog: Bool { says.hasPrefix("[iorun] the log was cut") }

    static let all = [
      Nuisance(
        description: "forks without end", flags: ["--memory", "3GiB"],
        command: [
          "python3", "-c",
          """
          import os, signal
          while True:
              if os.fork() == 0: signal.pause()
          """,
          // Of processes or of memory, whichever comes first: each has its share of the kernel's.
        ], says: "it met its limit of "),
      Nuisance(
        description: "takes all memory", flags: ["--memory", "128MiB"],
        command: ["python3", "-c", "x = bytearray(1 << 30)"], says: "it met its limit of memory: "),
      Nuisance(
        description: "fills its disk", flags: ["--disk", "64MiB"],
        command: ["dd", "if=/dev/zero", "of=fill", "bs=1M"], says: "it met its limit of disk: "),
      Nuisance(
        description: "opens files without end", flags: [],
        command: [
          "python3", "-c",
          """
          import os
          held = []
          while True: held.append(os.open("/dev/null", os.O_RDONLY))
          """,
        ], says: "Too many open files"),
      Nuisance(
        description: "prints without end", flags: [],
        command: ["sh", "-c", "yes nonsense | head -c 80000000; exit 9"],
        says: "[iorun] the log was cut here at"),
      Nuisance(
        description: "kills whatever it can", flags: [],
        command: [
          "sh", "-c",
          "for i in $(seq 2 40000); do kill -9 $i 2>/dev/null; done; kill -9 -1; exit 9",
        ], says: ""),
    ]
  }

  @Test(.timeLimit(.minutes(6)), arguments: isolations)
  func `does its worst, and its neighbour and the agent run on`(isolation: String) async throws {
    try await Self.with(isolation: isolation) { network, join in
      let neighbour = try await network.detach(
        "--cpus", "1", "--", "sh", "-c",
        "i=0; while :; do i=$((i+1)); echo $i > beat.new; mv beat.new beat; sleep 0.1; done")
      _ = try await network.job(neighbour, reaches: "running")
      // A log is read in the same way whatever the driver, and 64 MiB of one take a minute here.
      for nuisance in Nuisance.all where isolation == "bwrap" || !nuisance.fillsLog {
        let job = try await network.detach(
          ["--cpus", "1"] + nuisance.flags + ["--"] + nuisance.command)
        let end = try await network.job(job, reaches: "failed", "succeeded", within: .seconds(90))
        #expect(end["state"] as? String == "failed", "\(nuisance): \(end)")
        let log = try await network.iorun("logs", job)
        #expect(
          nuisance.says.isEmpty || log.output.contains(nuisance.says),
          "\(nuisance): \(log.output.suffix(2000)) \(join.errors.suffix(2000))")
        // It goes on, and is not only on the list.
        let before = try await Self.beat(of: neighbour, network)
        try await eventually("the neighbour of what \(nuisance) goes on") {
          try await Self.beat(of: neighbour, network) > before
        }
        #expect(try await network.job(neighbour)["state"] as? String == "running", "\(nuisance)")
        #expect(try await network.nodeStates()["far"] == "alive", "\(nuisance)")
        #expect(join.isRunning, "\(nuisance): \(join.errors.suffix(2000))")
      }
    }
  }

  /// The drivers that are installed; that one of each kind passes its self-test is another test's.
  private static let isolations =
    ["bwrap"]
    + (["/usr/bin/crun", "/usr/bin/runc"].contains(where: FileManager.default.isExecutableFile)
      ? ["oci"] : [])

  private static func beat(of job: String, _ network: TestNetwork) async throws -> Int {
    let read = try await network.iorun("exec", job, "--", "cat", "beat")
    return Int(read.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
  }
}
