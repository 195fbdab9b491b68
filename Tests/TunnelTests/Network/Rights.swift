import Foundation
import Glibc
import IorunTunnel

/// What these tests need of the machine.
enum Rights {
  /// Root, and a kernel that makes network namespaces.
  static let canMakeNamespaces = geteuid() == 0 && (try? NetworkNamespace()) != nil
  /// The same, and TUN devices.
  static let canMakeTunnels = canMakeNamespaces && access("/dev/net/tun", R_OK | W_OK) == 0
  static let needed: String = "network namespaces and /dev/net/tun need root: SKIPPED"

  /// Runs a program in a namespace: its exit status and what it printed.
  static func run(_ words: [String], in namespace: NetworkNamespace) throws -> (Int32, String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["nsenter", "--net=/proc/\(getpid())/fd/\(namespace.descriptor)"] + words
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
  }
}
