/// A program of the kernel's classic packet filter that decides about system calls (seccomp(2),
/// "classic BPF"): what `bwrap --seccomp` reads, and what `PR_SET_SECCOMP` takes.
public struct SeccompFilter: Hashable, Sendable {
  /// One instruction, `struct sock_filter`.
  public struct Instruction: Hashable, Sendable {
    /// What it does.
    public var code: UInt16
    /// How many instructions to skip where the test holds.
    public var jumpTrue: UInt8
    /// And where it does not.
    public var jumpFalse: UInt8
    /// A number, an offset or a distance.
    public var operand: UInt32
  }

  /// The program, at most 4,096 instructions (`BPF_MAXINSNS`).
  public internal(set) var instructions: [Instruction] = []

  /// The bytes of an array of `struct sock_filter` on this machine.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(instructions.count * 8)
    for instruction in instructions {
      withUnsafeBytes(of: instruction.code) { bytes += $0 }
      bytes += [instruction.jumpTrue, instruction.jumpFalse]
      withUnsafeBytes(of: instruction.operand) { bytes += $0 }
    }
    return bytes
  }
}

extension SeccompProfile {
  /// The filter for one architecture. Another architecture's calls end the process; x32 calls, whose
  /// numbers have bit 30 set, are answered with `ENOSYS`; what the table does not name with `EPERM`,
  /// or with `ENOSYS` where it is newer than the table.
  public func filter(for architecture: Architecture) -> SeccompFilter {
    var assembler = FilterAssembler()
    // struct seccomp_data: nr at 0, arch at 4, arguments from 16, 8 bytes each, little-endian.
    assembler.load(4)
    let audit: UInt32 = architecture == .x86_64 ? 0xC000_003E : 0xC000_00B7
    assembler.jump(.equal, audit, 1, 0)
    assembler.result(FilterAssembler.killProcess)
    assembler.load(0)
    if architecture == .x86_64 {
      assembler.jump(.atLeast, 0x4000_0000, 0, 1)
      assembler.result(FilterAssembler.failure(Self.noSuchCall))
    }
    assembler.tree(ranges(on: architecture))
    return SeccompFilter(instructions: assembler.instructions)
  }

  /// All numbers from 0 on, in order, as ranges with one verdict each: where each begins.
  private func ranges(on architecture: Architecture) -> [FilterAssembler.Range] {
    var verdicts: [UInt32: Verdict] = [:]
    for entry in entries {
      if let number = entry.number(on: architecture) { verdicts[number] = entry.verdict }
    }
    var ranges: [FilterAssembler.Range] = []
    let end = UInt32(SyscallTable.newestKnown) + 1
    for number in 0...end {
      let verdict =
        number == end
        ? .fail(Self.noSuchCall) : verdicts[number] ?? .fail(Self.notPermitted)
      if ranges.last?.verdict != verdict {
        ranges.append(FilterAssembler.Range(first: number, verdict: verdict))
      }
    }
    return ranges
  }
}

/// Writes instructions; jumps are relative to the instruction that follows.
struct FilterAssembler {
  /// The numbers from `first` to the next range's.
  struct Range {
    var first: UInt32
    var verdict: SeccompProfile.Verdict
  }

  enum Comparison: UInt16 {
    case equal = 0x15  // BPF_JMP | BPF_JEQ | BPF_K
    case atLeast = 0x35  // BPF_JMP | BPF_JGE | BPF_K
  }

  static let allow: UInt32 = 0x7FFF_0000  // SECCOMP_RET_ALLOW
  static let killProcess: UInt32 = 0x8000_0000  // SECCOMP_RET_KILL_PROCESS
  static func failure(_ number: UInt32) -> UInt32 { 0x0005_0000 | number }  // SECCOMP_RET_ERRNO

  private(set) var instructions: [SeccompFilter.Instruction] = []

  mutating func load(_ offset: Int) { append(0x20, UInt32(offset)) }  // BPF_LD | BPF_W | BPF_ABS
  mutating func result(_ value: UInt32) { append(0x06, value) }  // BPF_RET | BPF_K
  mutating func jump(_ test: Comparison, _ value: UInt32, _ yes: UInt8, _ no: UInt8) {
    instructions.append(.init(code: test.rawValue, jumpTrue: yes, jumpFalse: no, operand: value))
  }

  /// A binary search for the range that holds the loaded number.
  mutating func tree(_ ranges: some RandomAccessCollection<Range>) {
    guard ranges.count > 1 else {
      if let only = ranges.first { leaf(only.verdict) }
      return
    }
    let middle = ranges.index(ranges.startIndex, offsetBy: ranges.count / 2)
    jump(.atLeast, ranges[middle].first, 0, 1)
    // Conditional jumps reach 255 instructions, this one any.
    let skip = instructions.count
    append(0x05, 0)  // BPF_JMP | BPF_JA
    tree(ranges[..<middle])
    instructions[skip].operand = UInt32(instructions.count - skip - 1)
    tree(ranges[middle...])
  }

  private mutating func leaf(_ verdict: SeccompProfile.Verdict) {
    switch verdict {
    case .allow: result(Self.allow)
    case .fail(let number): result(Self.failure(number))
    case .allowWhere(let alternatives):
      for rules in alternatives {
        // Each rule is three instructions; a rule that fails goes to the next alternative.
        for (position, rule) in rules.enumerated() {
          load(16 + 8 * rule.index)
          append(0x54, rule.mask)  // BPF_ALU | BPF_AND | BPF_K
          let left = (rules.count - position - 1) * 3
          jump(.equal, rule.value, 0, UInt8(left + 1))
        }
        result(Self.allow)
      }
      result(Self.failure(SeccompProfile.notPermitted))
    }
  }

  private mutating func append(_ code: UInt16, _ operand: UInt32) {
    instructions.append(.init(code: code, jumpTrue: 0, jumpFalse: 0, operand: operand))
  }
}
