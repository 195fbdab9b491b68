import Foundation

/// What this process has in memory (`VmRSS`).
func residentBytes() -> Int64 {
  let status = FileManager.default.contents(atPath: "/proc/self/status") ?? Data()
  for line in String(decoding: status, as: UTF8.self).split(separator: "\n")
  where line.hasPrefix("VmRSS:") {
    return (line.split(separator: " ").dropFirst().first.flatMap { Int64($0) } ?? 0) << 10
  }
  return 0
}
