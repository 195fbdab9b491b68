internal import CZeroMQ
internal import Foundation
internal import IorunCore

/// Where and with what the figures were made.
struct Machine: Codable {
  var processor: String
  var cores: Int
  var memoryBytes: UInt64
  var kernel: String
  var iorun: String
  /// Of the toolchain on the search path, which need not be the one that built this binary.
  var swift: String
  var libzmq: String
  var startedAtUnixSeconds: Int
  /// Over the last minute, before and after: the benchmark's own load is in the second.
  var loadAverageAtStart: Double
  var loadAverageAtEnd: Double?

  /// This binary.
  static var executable: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      ?? CommandLine.arguments[0]
  }

  init() throws {
    processor = Self.field("model name", in: Self.text("/proc/cpuinfo")) ?? "unknown"
    cores = ProcessInfo.processInfo.activeProcessorCount
    memoryBytes = ProcessInfo.processInfo.physicalMemory
    kernel = Self.text("/proc/sys/kernel/osrelease").trimmingCharacters(in: .newlines)
    iorun = IorunVersion.release
    swift = Self.swiftVersion()
    var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
    zmq_version(&major, &minor, &patch)
    libzmq = "\(major).\(minor).\(patch)"
    startedAtUnixSeconds = Int(Date().timeIntervalSince1970)
    loadAverageAtStart = Self.loadAverage()
  }

  mutating func finish() { loadAverageAtEnd = Self.loadAverage() }

  static func text(_ path: String) -> String {
    // Files under /proc have no size: read until the end.
    guard let handle = FileHandle(forReadingAtPath: path) else { return "" }
    return String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
  }

  static func field(_ name: String, in text: String) -> String? {
    text.split(separator: "\n").first { $0.hasPrefix(name) }
      .flatMap { $0.split(separator: ":", maxSplits: 1).last }
      .map { $0.trimmingCharacters(in: .whitespaces) }
  }

  private static func loadAverage() -> Double {
    text("/proc/loadavg").split(separator: " ").first.flatMap { Double($0) } ?? 0
  }

  private static func swiftVersion() -> String {
    guard let child = try? Child("/usr/bin/env", ["swift", "--version"]),
      let data = try? child.readToEnd(),
      let match = String(decoding: data, as: UTF8.self).firstMatch(of: /Swift version ([0-9.]+)/)
    else { return "unknown" }
    return String(match.1)
  }
}
