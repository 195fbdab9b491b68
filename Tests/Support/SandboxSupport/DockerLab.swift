internal import Foundation
internal import IorunCore

/// A Docker daemon of the tests' own, apart from the machine's: its own folder and socket, no network.
/// It ends with the process.
public final class DockerLab: Sendable {
  /// The one of this process; `nil` where there is no `dockerd`, or it does not start here.
  public static let shared = DockerLab()

  public let socket: String

  private init?() {
    guard geteuid() == 0, let program = SandboxLab.find("dockerd"),
      let shell = SandboxLab.find("sh")
    else { return nil }
    let folder = "/tmp/iorun-docker-\(getpid())"
    socket = folder + "/socket"
    // The daemon ends when the pipe that the shell reads does: with this process, however it ends.
    let script = """
      mkdir -m 700 '\(folder)' && cd '\(folder)' || exit 1
      '\(program)' -H unix://$PWD/socket --data-root $PWD/data --exec-root $PWD/run \
        --pidfile $PWD/pid --iptables=false --ip6tables=false --ip-forward=false --bridge=none \
        --storage-driver=vfs </dev/null >log 2>&1 &
      read line
      kill $!; wait $!; cd /
      for mount in $(grep -o ' \(folder)/[^ ]*' /proc/self/mountinfo); do umount -l $mount; done
      rm -rf '\(folder)'
      """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: shell)
    process.arguments = ["-c", script]
    process.standardInput = Pipe()
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    daemon = process
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline, process.isRunning {
      let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
      if log.contains("API listen on") { return }
      if log.contains("failed to start daemon") { break }
      usleep(50_000)
    }
    print("dockerd does not start here: SKIPPED")
    return nil
  }

  // Kept: its standard input is the pipe.
  private let daemon: Process
}
