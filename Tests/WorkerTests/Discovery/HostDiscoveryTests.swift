import Foundation
import IorunCore
import Testing

@testable import IorunWorker

@Suite("Host discovery")
struct HostDiscoveryTests {
  private let root: TemporaryFolder

  init() throws {
    root = try TemporaryFolder()
    try root.write("processor : 0\nmodel name\t: Fast CPU 3000\n", to: "proc/cpuinfo")
    try root.write("MemTotal: 8388608 kB\nMemAvailable:  4194304 kB\n", to: "proc/meminfo")
  }

  private var facts: NodeFacts {
    HostDiscovery(root: root.path, cpuCount: 8).facts(
      name: "n", address: "10.0.0.1", interface: "eth0", stateFolder: "/", gpus: [])
  }

  @Test("without control groups the node offers its CPUs and its available memory")
  func plain() {
    #expect(facts.milliCPUs == 8000)
    #expect(facts.memory == .gibi(4))
    #expect(facts.cpuModel == "Fast CPU 3000")
    #expect(facts.disk > .zero)
    #expect(facts.system.hasPrefix("Linux "))
  }

  @Test("the tightest limit on the way up counts, version 2")
  func version2() throws {
    try root.write("0::/a/b\n", to: "proc/self/cgroup")
    try root.write("max 100000\n", to: "sys/fs/cgroup/a/b/cpu.max")
    try root.write("250000 100000\n", to: "sys/fs/cgroup/a/cpu.max")
    try root.write("2147483648\n", to: "sys/fs/cgroup/a/b/memory.max")
    try root.write("max\n", to: "sys/fs/cgroup/a/memory.max")
    #expect(facts.milliCPUs == 2500)
    #expect(facts.memory == .gibi(2))
  }

  @Test("quota and limit count, version 1, and no limit is none")
  func version1() throws {
    try root.write("4:memory:/m\n3:cpu,cpuacct:/c\n", to: "proc/self/cgroup")
    try root.write("50000\n", to: "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us")
    try root.write("100000\n", to: "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us")
    try root.write("-1\n", to: "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us")
    try root.write("100000\n", to: "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us")
    try root.write("9223372036854771712\n", to: "sys/fs/cgroup/memory/m/memory.limit_in_bytes")
    #expect(facts.milliCPUs == 500)
    #expect(facts.memory == .gibi(4))
  }

  @Test("this machine has a processor, memory and a name")
  func real() {
    let facts = HostDiscovery().facts(
      name: "n", address: "127.0.0.1", interface: "lo", stateFolder: "/", gpus: [])
    #expect(facts.milliCPUs > 0 && facts.memory > .zero && !facts.hostname.isEmpty)
  }
}
