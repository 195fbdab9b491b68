import Testing

@testable import IorunSandbox

/// The filter by a machine of the test's own, and the two forms beside each other.
@Suite struct SeccompFilterTests {
  private let profile = SeccompProfile.standard
  private let filters = Dictionary(
    uniqueKeysWithValues: SeccompProfile.Architecture.allCases.map {
      ($0, SeccompProfile.standard.filter(for: $0))
    })

  private func verdict(
    _ number: UInt32, _ arguments: [UInt64] = [], on architecture: SeccompProfile.Architecture,
    audit: UInt32? = nil
  ) -> UInt32? {
    let own: UInt32 = architecture == .x86_64 ? 0xC000_003E : 0xC000_00B7
    var data = [UInt8](repeating: 0, count: 64)
    data.withUnsafeMutableBytes { data in
      data.storeBytes(of: number, toByteOffset: 0, as: UInt32.self)
      data.storeBytes(of: audit ?? own, toByteOffset: 4, as: UInt32.self)
      for (index, argument) in arguments.enumerated() {
        data.storeBytes(of: argument, toByteOffset: 16 + 8 * index, as: UInt64.self)
      }
    }
    return filters[architecture].flatMap { FilterMachine.run($0, on: data) }
  }

  private let allow: UInt32 = 0x7FFF_0000
  private let notPermitted: UInt32 = 0x0005_0001
  private let noSuchCall: UInt32 = 0x0005_0026
  private let kill: UInt32 = 0x8000_0000

  @Test("each number gets its entry's verdict", arguments: SeccompProfile.Architecture.allCases)
  func everyNumber(on architecture: SeccompProfile.Architecture) {
    var expected: [UInt32: SeccompProfile.Verdict] = [:]
    for entry in profile.entries {
      guard let number = entry.number(on: architecture) else { continue }
      #expect(
        expected.updateValue(entry.verdict, forKey: number) == nil, "\(entry.name) is doubled")
    }
    #expect(expected.count > 200)
    for number: UInt32 in 0...600 {
      let result = verdict(number, on: architecture)
      switch expected[number] {
      case .allow: #expect(result == allow, "\(number)")
      case .fail(let reason): #expect(result == 0x5_0000 | reason, "\(number)")
      case .allowWhere: #expect(result == allow || result == notPermitted, "\(number)")
      case nil:
        let newest = UInt32(SyscallTable.newestKnown)
        #expect(result == (number > newest ? noSuchCall : notPermitted), "\(number)")
      }
    }
  }

  @Test("another architecture's calls end the process, x32 calls do not exist")
  func otherArchitectures() {
    #expect(verdict(0, on: .x86_64, audit: 0x4000_0003) == kill)
    #expect(verdict(0, on: .arm64, audit: 0xC000_003E) == kill)
    #expect(verdict(0x4000_0000, on: .x86_64) == noSuchCall)
    #expect(verdict(0x4000_0000 | 59, on: .x86_64) == noSuchCall)
  }

  @Test("sockets are allowed by family, and bits above 32 do not help")
  func sockets() {
    for (domain, proto, result): (UInt64, UInt64, UInt32) in [
      (1, 0, allow), (2, 0, allow), (10, 0, allow), (16, 0, allow),
      (16, 16, notPermitted), (16, 11, notPermitted), (40, 0, notPermitted),
      (38, 0, notPermitted), (17, 0, notPermitted), (44, 0, notPermitted),
      (1 << 32 | 40, 0, notPermitted),
    ] {
      #expect(verdict(41, [domain, 1, proto], on: .x86_64) == result, "\(domain) \(proto)")
      #expect(verdict(198, [domain, 1, proto], on: .arm64) == result, "\(domain) \(proto)")
    }
  }

  @Test("a terminal cannot be typed into, whatever the bits above 32 are")
  func terminals() {
    for high: UInt64 in [0, 1 << 32, 0xFFFF_FFFF << 32] {
      #expect(verdict(16, [0, high | 0x5412], on: .x86_64) == notPermitted)
      #expect(verdict(16, [0, high | 0x541C], on: .x86_64) == notPermitted)
      #expect(verdict(16, [0, high | 0x5413], on: .x86_64) == allow)
      #expect(verdict(29, [0, high | 0x5401], on: .arm64) == allow)
    }
  }

  @Test("clone makes threads and processes, and no namespaces")
  func clone() {
    #expect(verdict(56, [0x003D_0F00], on: .x86_64) == allow)
    #expect(verdict(56, [17], on: .x86_64) == allow)
    for flag: UInt64 in [
      0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
    ] {
      #expect(verdict(56, [flag | 17], on: .x86_64) == notPermitted)
      #expect(verdict(220, [flag | 17], on: .arm64) == notPermitted)
    }
    #expect(verdict(435, on: .x86_64) == noSuchCall)
  }

  @Test("what a stranger has no use for is not in the table")
  func closed() {
    let names = Set(profile.entries.map(\.name))
    for name in [
      "mount", "umount2", "pivot_root", "fsopen", "open_tree", "move_mount", "mount_setattr",
      "unshare", "setns", "keyctl", "add_key", "request_key", "bpf", "perf_event_open",
      "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "ptrace",
      "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "open_by_handle_at",
      "name_to_handle_at", "init_module", "finit_module", "kexec_load", "reboot", "syslog",
      "clock_settime", "settimeofday", "swapon", "quotactl", "iopl", "ioperm", "modify_ldt",
      "acct", "chroot", "fanotify_init", "lookup_dcookie", "memfd_secret",
    ] {
      #expect(!names.contains(name), "\(name)")
    }
  }

  @Test("the complement of a set of values is what the cubes hold")
  func complement() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<50 {
      let excluded = Set((0..<3).map { _ in UInt32.random(in: 0...20, using: &generator) })
      let cubes = MaskedComplement.cubes(excluding: excluded)
      for value: UInt32 in Array(0...64) + [.max, 1 << 31] {
        let matches = cubes.count { value & $0.mask == $0.value }
        #expect(matches == (excluded.contains(value) ? 0 : 1), "\(value) of \(excluded)")
      }
    }
  }

  @Test("the OCI section names the same calls")
  func oci() throws {
    let section = profile.ociSection(for: .x86_64)
    #expect(section.defaultAction == "SCMP_ACT_ERRNO")
    let allowed = try #require(section.syscalls.first)
    #expect(
      Set(allowed.names)
        == Set(profile.entries.filter { $0.verdict == .allow && $0.x86 >= 0 }.map(\.name)))
    let other = Set(section.syscalls.dropFirst().flatMap(\.names))
    #expect(other == ["clone", "clone3", "socket", "ioctl", "personality"])
    let bytes = profile.filter(for: .x86_64).bytes.count
    #expect(bytes > 500 && bytes < 4096 * 8)
  }
}

/// Runs a filter as the kernel does (Linux, networking/filter.rst), for the instructions that we use.
enum FilterMachine {
  static func run(_ filter: SeccompFilter, on data: [UInt8]) -> UInt32? {
    var accumulator: UInt32 = 0
    var position = 0
    while position < filter.instructions.count {
      let instruction = filter.instructions[position]
      position += 1
      switch instruction.code {
      case 0x20:
        let offset = Int(instruction.operand)
        guard offset + 4 <= data.count else { return nil }
        accumulator = data.withUnsafeBytes { $0.load(fromByteOffset: offset, as: UInt32.self) }
      case 0x54: accumulator &= instruction.operand
      case 0x15, 0x35:
        let holds =
          instruction.code == 0x15
          ? accumulator == instruction.operand : accumulator >= instruction.operand
        position += Int(holds ? instruction.jumpTrue : instruction.jumpFalse)
      case 0x05: position += Int(instruction.operand)
      case 0x06: return instruction.operand
      default: return nil
      }
    }
    return nil
  }
}
