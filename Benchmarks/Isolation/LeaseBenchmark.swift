import Foundation
import IorunCore
import IorunSandbox

/// Many leases one after another, and what they leave in the agent's process and on the machine.
struct LeaseBenchmark {
  let lab: Lab
  let count: Int

  func run() async throws -> [Figure] {
    var figures: [Figure] = []
    for (name, driver) in lab.drivers.prefix(1) {
      let pool = try lab.pool("leases")
      let lease = Lease(lab: lab, driver: driver, pool: pool)
      // What is made once and kept.
      for number in 0..<10 { _ = try await lease.run("warm-\(number)", size: .mebi(64)) }
      let before = Holding.now(lab)
      let began = ContinuousClock.now
      for number in 0..<count { _ = try await lease.run("lease-\(number)", size: .mebi(64)) }
      let each = (ContinuousClock.now - began).milliseconds / Double(count)
      let after = Holding.now(lab)
      figures.append(Figure("leases: \(name), from scratch to gone, each", [each], unit: "ms"))
      for (what, old, new) in [
        ("descriptors", before.descriptors, after.descriptors),
        ("KiB of memory", before.memory, after.memory), ("mounts", before.mounts, after.mounts),
        ("children", before.children, after.children),
      ] {
        figures.append(
          Figure("leases: \(what) more after \(count)", [Double(new - old)], unit: "(was \(old))"))
      }
    }
    return figures
  }

  /// What this process and its folder hold.
  private struct Holding {
    var descriptors: Int
    var memory: Int
    var mounts: Int
    var children: Int

    static func now(_ lab: Lab) -> Holding {
      func text(_ path: String) -> String {
        guard let file = try? OpenFile(path, O_RDONLY), let bytes = try? file.read(upTo: 4 << 20)
        else { return "" }
        return String(decoding: bytes, as: UTF8.self)
      }
      let resident = text("/proc/self/status").split(separator: "\n")
        .first { $0.hasPrefix("VmRSS:") }?.split(whereSeparator: \.isWhitespace).dropFirst().first
      let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
      return Holding(
        descriptors: ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [])
          .count,
        memory: resident.flatMap { Int($0) } ?? 0,
        mounts: text("/proc/self/mountinfo").split(separator: "\n")
          .filter { $0.contains(lab.folder) }.count,
        children: threads.reduce(0) {
          $0 + text("/proc/self/task/\($1)/children").split(separator: " ").count
        })
    }
  }
}
