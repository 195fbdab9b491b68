internal import Foundation
internal import IorunCore
internal import IorunWorker

/// Puts a node's systemd unit in its place and starts it.
enum NodeService {
  /// Writes the unit, and has systemd read, enable and start it.
  ///
  /// - Throws: `fileMissing` without systemd, `fileSystem`, `internalFault` with what systemctl said.
  static func install(stateFolder: String) async throws {
    let isRoot = getuid() == 0
    let unit = ServiceUnit(
      program: try program(), stateFolder: stateFolder, isSystemWide: isRoot)
    let folder =
      isRoot ? "/etc/systemd/system" : NSHomeDirectory() + "/.config/systemd/user"
    let path = folder + "/" + ServiceUnit.name
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try unit.text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
      throw IorunError(.fileSystem, "cannot write \(path)", cause: error)
    }
    let scope = isRoot ? [] : ["--user"]
    try await Blocking.run {
      try SystemProgram.run("systemctl", scope + ["daemon-reload"])
      try SystemProgram.run("systemctl", scope + ["enable", "--now", ServiceUnit.name])
    }
    let user = isRoot ? "" : " --user"
    Output.write(
      """
      \(path) is installed and started
        see it:   systemctl\(user) status \(ServiceUnit.name); iorun worker show
        its log:  journalctl\(user) -u \(ServiceUnit.name) -f
        stop it:  systemctl\(user) disable --now \(ServiceUnit.name)

      """)
    if !isRoot {
      Output.write(
        "it ends when you log out; `loginctl enable-linger` keeps it, and root installs it for all\n"
      )
    }
  }

  private static func program() throws -> String {
    do {
      return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    } catch {
      throw IorunError(.fileMissing, "the path of iorun's own binary is not known", cause: error)
    }
  }
}

/// A program of the machine's, run to its end with its output on this terminal. Blocks.
enum SystemProgram {
  /// Runs it.
  ///
  /// - Throws: `fileMissing` where it is not installed, `internalFault` where it fails.
  static func run(_ name: String, _ arguments: [String]) throws {
    guard let path = InstalledProgram.find(name) else {
      throw IorunError(
        .fileMissing, "this machine has no \(name)", remedy: "Install it, or do without")
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    do {
      try process.run()
    } catch {
      throw IorunError(.internalFault, "\(path) does not start", cause: error)
    }
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw IorunError(
        .internalFault,
        "\(name) \(arguments.joined(separator: " ")) failed with \(process.terminationStatus)",
        remedy: "It said above what is wrong")
    }
  }
}
