/// The `linux.seccomp` section of an OCI runtime configuration (runtime-spec, config-linux.md), as it
/// is encoded to JSON.
public struct OCISeccomp: Encodable, Sendable {
  struct Argument: Encodable, Sendable {
    var index: Int
    /// The mask.
    var value: UInt64
    /// What the bits under the mask must be.
    var valueTwo: UInt64
    var op = "SCMP_CMP_MASKED_EQ"
  }

  struct Rule: Encodable, Sendable {
    var names: [String]
    var action: String
    var errnoRet: UInt32?
    var args: [Argument]?
  }

  var defaultAction = "SCMP_ACT_ERRNO"
  var defaultErrnoRet = SeccompProfile.notPermitted
  var architectures: [String]
  var syscalls: [Rule]
}

extension SeccompProfile {
  /// The same rules for an OCI runtime. Names that a runtime's libseccomp does not know it leaves out,
  /// which refuses them.
  public func ociSection(for architecture: Architecture) -> OCISeccomp {
    var rules: [OCISeccomp.Rule] = []
    let allowed = entries.filter { $0.verdict == .allow && $0.number(on: architecture) != nil }
    rules.append(.init(names: allowed.map(\.name).sorted(), action: "SCMP_ACT_ALLOW"))
    for entry in entries {
      switch entry.verdict {
      case .allow: break
      case .fail(let number):
        rules.append(.init(names: [entry.name], action: "SCMP_ACT_ERRNO", errnoRet: number))
      case .allowWhere(let alternatives):
        for alternative in alternatives {
          rules.append(
            .init(
              names: [entry.name], action: "SCMP_ACT_ALLOW",
              args: alternative.map {
                .init(index: $0.index, value: UInt64($0.mask), valueTwo: UInt64($0.value))
              }))
        }
      }
    }
    return OCISeccomp(
      architectures: [architecture == .x86_64 ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64"],
      syscalls: rules)
  }
}
