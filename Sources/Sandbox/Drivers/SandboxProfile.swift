internal import Foundation
internal import IorunCore

/// What every driver hides of the host's kernel.
enum SandboxProfile {
  /// Files of the kernel that tell of the host or reach into it. `/dev/null` stands in their place.
  static let maskedFiles = [
    "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug",
    "/proc/kallsyms", "/proc/interrupts", "/proc/kmsg", "/proc/kpagecount", "/proc/kpageflags",
    "/proc/kpagecgroup", "/proc/latency_stats", "/proc/timer_stats", "/proc/modules",
    "/proc/vmallocinfo", "/proc/slabinfo", "/proc/iomem", "/proc/ioports",
  ]
  /// The same for folders. An empty one stands in their place.
  static let maskedFolders = ["/proc/acpi", "/proc/scsi", "/proc/asound"]
  /// Folders of the kernel that programs read to know the machine's processors.
  static let shownFolders = [
    "/sys/devices/system/cpu", "/sys/devices/system/node",
  ].filter { (folder: String) in access(folder, F_OK) == 0 }
  /// When a machine's memory runs out, strangers' programs go first.
  static let outOfMemoryScore = 500
  /// What can be read and not written.
  static let readOnly = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"]
}

/// What bubblewrap and OCI runtimes make of the end of their program.
enum SandboxDriverEnd {
  /// 128 and the signal's number for a program that a signal ended, as shells do.
  static func understand(_ cause: ExitCause) -> ExitCause {
    guard case .exited(let status) = cause, (129...192).contains(status) else { return cause }
    return .signalled(signal: status - 128)
  }
}
