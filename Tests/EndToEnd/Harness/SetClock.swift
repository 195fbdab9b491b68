import Foundation

/// A machine whose wall clock a test sets, under whatever runs there: its state folder, and what its
/// programs are told of the time.
struct ClockedMachine {
  let network: TestNetwork
  let name: String

  /// Sets its clock to so many seconds beside the true time.
  func set(_ seconds: Int) throws {
    // Renamed into place: whoever reads it meanwhile sees the one or the other.
    try Data("\(seconds)\n".utf8).write(to: URL(fileURLWithPath: file), options: .atomic)
  }

  /// Starts iorun there.
  func start(_ arguments: [String], input: String? = nil) throws -> RunningCommand {
    try network.start(
      arguments, state: "\(network.root)/\(name)",
      environment: ["LD_PRELOAD": SetClock.library ?? "", "SET_CLOCK_FILE": file], input: input)
  }

  /// Runs iorun there to its end.
  func iorun(_ arguments: String..., within limit: Duration = .seconds(40)) async throws
    -> CommandResult
  {
    try await start(arguments).finish(within: limit)
  }

  private var file: String { network.root + "/clock-" + name }
}

/// What sets a process's wall clock: `Tests/Support/SetClock`, which the C compiler makes a library of.
enum SetClock {
  /// The library to preload; `nil` where it cannot be made.
  static let library: String? = {
    let library = FileManager.default.temporaryDirectory
      .appendingPathComponent("iorun-set-clock-\(UUID().uuidString).so").path
    for compiler in ["cc", "clang", "gcc"] {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = [
        compiler, "-shared", "-fPIC", "-O1", "-o", library,
        Binaries.package + "/Tests/Support/SetClock/clock.c", "-ldl",
      ]
      process.standardError = FileHandle.nullDevice
      guard (try? process.run()) != nil else { continue }
      process.waitUntilExit()
      if process.terminationStatus == 0 {
        atexit { if let library = SetClock.library { unlink(library) } }
        return library
      }
    }
    return nil
  }()
}
