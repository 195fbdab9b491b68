/// Which system calls a sandboxed program may make: the one table from which both the filter for the
/// kernel (``filter(for:)``) and the section of an OCI configuration (``ociSection()``) are made.
public struct SeccompProfile: Sendable {
  /// The processors that have a table of numbers.
  public enum Architecture: String, Sendable, CaseIterable {
    case x86_64
    case arm64

    /// The one that this program runs on; `nil` on others, which have no filter.
    public static var current: Architecture? {
      #if arch(x86_64)
        .x86_64
      #elseif arch(arm64)
        .arm64
      #else
        nil
      #endif
    }
  }

  /// What an argument must be for a call to be allowed. Only the low 32 bits count, because that is
  /// what the kernel reads of these arguments: a comparison of all 64 bits can be passed by setting
  /// one above (CVE-2019-7303).
  struct ArgumentRule: Hashable, Sendable {
    /// Which argument, from 0.
    var index: Int
    /// The bits that count.
    var mask: UInt32
    /// What they must be.
    var value: UInt32
  }

  /// What becomes of a call.
  enum Verdict: Hashable, Sendable {
    /// It is made.
    case allow
    /// It fails with this error number.
    case fail(UInt32)
    /// It is made where all rules of one of these lists hold, else it fails with `EPERM`.
    case allowWhere([[ArgumentRule]])
  }

  /// A call with its numbers and what becomes of it.
  struct Entry: Sendable {
    var name: String
    var x86: Int
    var arm: Int
    var verdict: Verdict

    func number(on architecture: Architecture) -> UInt32? {
      UInt32(exactly: architecture == .x86_64 ? x86 : arm)
    }
  }

  /// `EPERM` and `ENOSYS`, the same numbers on every architecture here.
  static let notPermitted: UInt32 = 1
  static let noSuchCall: UInt32 = 38

  /// Every call that is not simply refused.
  let entries: [Entry]

  /// The profile for jobs of strangers, and for all others: nothing that a training job does needs
  /// more (measured: PyTorch, ONNX Runtime, Python's multiprocessing and the Swift compiler run).
  public static let standard = SeccompProfile(
    entries: SyscallTable.allowed.map {
      Entry(name: $0.name, x86: $0.x86, arm: $0.arm, verdict: .allow)
    } + [
      // New namespaces: CLONE_NEW{TIME excepted,NS,CGROUP,UTS,IPC,USER,PID,NET}.
      Entry(
        name: "clone", x86: 56, arm: 220,
        verdict: .allowWhere([[ArgumentRule(index: 0, mask: 0x7E02_0000, value: 0)]])),
      // Its flags lie in memory, where a filter cannot look; glibc falls back to clone.
      Entry(name: "clone3", x86: 435, arm: 435, verdict: .fail(noSuchCall)),
      // AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK for routes (what getifaddrs needs). Not AF_VSOCK,
      // which reaches the hypervisor on rented machines, not AF_ALG, AF_PACKET and the rest.
      Entry(
        name: "socket", x86: 41, arm: 198,
        verdict: .allowWhere([
          [.exactly(0, 1)], [.exactly(0, 2)], [.exactly(0, 10)],
          [.exactly(0, 16), .exactly(2, 0)],
        ])),
      // Not TIOCSTI and TIOCLINUX, which type into a terminal in the name of who sits there.
      Entry(
        name: "ioctl", x86: 16, arm: 29,
        verdict: .allowWhere(
          MaskedComplement.cubes(excluding: [0x5412, 0x541C]).map {
            [ArgumentRule(index: 1, mask: $0.mask, value: $0.value)]
          })),
      // PER_LINUX and its harmless flags, and the question which one it is.
      Entry(
        name: "personality", x86: 135, arm: 92,
        verdict: .allowWhere(
          [0, 8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF].map { [.exactly(0, $0)] })),
    ])

  /// The names of the calls that are allowed whatever their arguments are.
  public var unconditional: Set<String> {
    Set(entries.filter { $0.verdict == .allow }.map(\.name))
  }
}

extension SeccompProfile.ArgumentRule {
  /// The argument's low 32 bits are `value`.
  static func exactly(_ index: Int, _ value: UInt32) -> Self {
    Self(index: index, mask: .max, value: value)
  }
}
