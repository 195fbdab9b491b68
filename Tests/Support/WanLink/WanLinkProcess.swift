import Dispatch
import Foundation
import Glibc

/// A `wan-link` that runs beside a test.
public enum WanLinkProcess {
  /// The addresses of the two ends, unless others are asked for.
  public static let addresses = (a: "10.200.0.1", b: "10.200.0.2")

  /// Joins two roles' namespaces by an emulated link while `body` runs.
  ///
  /// - Parameter one: the role whose end has the first of `addresses`.
  /// - Throws: `WanLinkError` where the link does not come up, and what `body` throws.
  public static func with<Outcome>(
    in namespaces: NetworkNamespaces, from one: String, to other: String,
    settings: LinkSettings, seed: UInt64 = 1, body: () async throws -> Outcome
  ) async throws -> Outcome {
    try await with(
      between: namespaces.name(one), and: namespaces.name(other), settings: settings, seed: seed,
      body: body)
  }

  /// Joins two namespaces by their names.
  public static func with<Outcome>(
    between one: String, and other: String, settings: LinkSettings, seed: UInt64 = 1,
    body: () async throws -> Outcome
  ) async throws -> Outcome {
    guard let program = builtProgram() else {
      throw WanLinkError("wan-link is not built; build it with swift build --build-tests")
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments(
      from: one, to: other, settings: settings, seed: seed)
    // The link ends with the test's process, even one that is killed: its input ends then.
    let input = Pipe()
    let output = Pipe()
    // Other programs that the test starts must not hold it open.
    _ = fcntl(input.fileHandleForWriting.fileDescriptor, F_SETFD, FD_CLOEXEC)
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    try? output.fileHandleForWriting.close()
    try? input.fileHandleForReading.close()
    do {
      try await awaitReady(output.fileHandleForReading)
      let outcome = try await body()
      await end(process)
      return outcome
    } catch {
      await end(process)
      throw error
    }
  }

  /// The program in a folder around the running one: on Linux that is the test bundle.
  private static func builtProgram() -> String? {
    let running = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var folder = URL(fileURLWithPath: running ?? CommandLine.arguments[0])
    while folder.path.count > 1 {
      folder.deleteLastPathComponent()
      let program = folder.appendingPathComponent("wan-link").path
      if FileManager.default.isExecutableFile(atPath: program) { return program }
    }
    return nil
  }

  private static func arguments(
    from one: String, to other: String, settings: LinkSettings, seed: UInt64
  ) -> [String] {
    func milliseconds(_ time: Duration) -> String { "\(time / .milliseconds(1))" }
    return [
      "--a", one, "--b", other, "--a-address", addresses.a, "--b-address", addresses.b,
      "--rtt-ms", milliseconds(settings.roundTrip), "--jitter-ms", milliseconds(settings.jitter),
      "--loss-percent", "\(settings.loss * 100)",
      "--rate-mbps", "\(Double(settings.bitsPerSecond) / 1e6)",
      "--queue-ms", milliseconds(settings.queue), "--seed", "\(seed)",
    ] + (settings.keepsOrder ? [] : ["--reorder"])
  }

  private static func awaitReady(_ output: FileHandle) async throws {
    let said = await withCheckedContinuation { continuation in
      // Blocking, so not on the cooperative pool. It ends with the word or with the process.
      DispatchQueue.global().async { continuation.resume(returning: output.availableData) }
    }
    guard said == Data("ready\n".utf8) else {
      throw WanLinkError("wan-link did not start; its own words are above")
    }
  }

  private static func end(_ process: Process) async {
    process.terminate()
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        process.waitUntilExit()
        continuation.resume()
      }
    }
  }
}
