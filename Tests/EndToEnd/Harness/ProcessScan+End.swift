import Foundation
import Glibc

extension ProcessScan {
  /// Ends all processes of `marker`, those of gocryptfs last, and after what lies on their file systems
  /// is unmounted where they see it. Where one is the last process of its mounts, as in a host of `ip netns`,
  /// the kernel would write to the file system that it served, and wait for it for ever, and with it
  /// every loop device of the machine.
  static func killAll(_ marker: String) {
    let found = all(marker)
    let servers = found.filter(isScratchServer)
    for process in found where !isScratchServer(process) { kill(process.pid, SIGKILL) }
    for server in servers { unmountLoops(of: server.pid, below: marker) }
    for server in servers { kill(server.pid, SIGKILL) }
  }

  private static func isScratchServer(_ process: Found) -> Bool {
    process.commandLine.split(separator: " ").first?.hasSuffix("gocryptfs") ?? false
  }

  private static func unmountLoops(of pid: Int32, below root: String) {
    for line in text("/proc/\(pid)/mountinfo").split(separator: "\n").reversed()
    where line.contains(" - ext4 /dev/loop") {
      let fields = line.split(separator: " ")
      guard fields.count > 4, fields[4].hasPrefix(root + "/") else { continue }
      let unmount = Process()
      unmount.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
      unmount.arguments = [
        "10", "nsenter", "--target", "\(pid)", "--mount", "umount", "--lazy", String(fields[4]),
      ]
      do {
        try unmount.run()
        unmount.waitUntilExit()
      } catch {
        print("\(fields[4]) is not unmounted: \(error)")
      }
    }
  }
}
