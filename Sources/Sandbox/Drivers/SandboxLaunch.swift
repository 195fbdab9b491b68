internal import CSandbox
internal import Foundation
internal import IorunCore

/// A program to start and what becomes of its process before: the Swift side of `iorun_box_spawn`.
struct SandboxLaunch {
  /// One step of preparing the mounts of a namespace of its own.
  struct Step {
    var kind: iorun_box_step_kind
    var target: String
    var source = ""
    var type = ""
    var data = ""
    var flags: UInt = 0
  }

  var path: String
  var arguments: [String]
  var environment: [String: String] = [:]
  var folder: String?
  var streams: SandboxStreams
  /// These become 3, 4 and so on.
  var inherited: [Int32] = []
  var group: ControlGroup?
  var limits: [(resource: Int32, value: UInt64)] = []
  var steps: [Step] = []
  /// A namespace's descriptor, or -1.
  var network: Int32 = -1
  /// Namespaces of a sandbox that runs, to begin in, that of its users last; see CSandbox.h.
  var spaces: [Int32] = []
  /// The user to become; 0: stay.
  var user: UInt32 = 0
  var filter: SeccompFilter?
  var outOfMemoryScore = SandboxProfile.outOfMemoryScore

  /// Starts it. Throws `spawnFailed` with the step that the kernel refused.
  func start() throws -> pid_t {
    let memberships = try group?.openMembership() ?? []
    defer { for descriptor in memberships { close(descriptor) } }
    let strings = CStringBag()
    let filterBytes = filter?.bytes ?? []
    let variables = environment.sorted { $0.key < $1.key }.map { $0.key + "=" + $0.value }
    let cSteps = steps.map { step in
      iorun_box_step(
        kind: Int32(step.kind.rawValue), flags: step.flags,
        source: strings.add(step.source), target: strings.add(step.target),
        type: strings.add(step.type), data: strings.add(step.data))
    }
    let cLimits = limits.map { iorun_box_limit(resource: $0.resource, value: $0.value) }
    var pid: pid_t = 0
    var failed: Int32 = 0
    let reason = withCStrings(arguments) { argv in
      withCStrings(variables) { envp in
        withBuffers(inherited, spaces) { inherited, spaces in
          memberships.withUnsafeBufferPointer { groups in
            cLimits.withUnsafeBufferPointer { limits in
              cSteps.withUnsafeBufferPointer { steps in
                filterBytes.withUnsafeBytes { filter in
                  var launch = iorun_box_launch()
                  launch.spaces = spaces.baseAddress
                  launch.space_count = Int32(spaces.count)
                  launch.path = strings.add(path)
                  launch.argv = argv
                  launch.envp = envp
                  launch.folder = folder.flatMap { strings.add($0) }
                  launch.input = streams.input
                  launch.output = streams.output
                  launch.errors = streams.errors
                  launch.inherited = inherited.baseAddress
                  launch.inherited_count = Int32(inherited.count)
                  launch.groups = groups.baseAddress
                  launch.group_count = Int32(groups.count)
                  launch.limits = limits.baseAddress
                  launch.limit_count = Int32(limits.count)
                  launch.steps = steps.baseAddress
                  launch.step_count = Int32(steps.count)
                  launch.network = network
                  launch.user = user
                  launch.filter = filter.isEmpty ? nil : filter.baseAddress
                  launch.filter_length = UInt16(filterBytes.count / 8)
                  launch.oom_score = Int32(outOfMemoryScore)
                  return iorun_box_spawn(&launch, &pid, &failed)
                }
              }
            }
          }
        }
      }
    }
    guard reason == 0 else {
      throw IorunError(
        .spawnFailed,
        "cannot start \(path): \(describe(failed)): \(String(cString: strerror(reason)))",
        remedy: "See what `iorun doctor` says of sandboxes on this machine")
    }
    return pid
  }

  private func describe(_ failed: Int32) -> String {
    switch UInt32(bitPattern: failed) {
    case iorun_box_failed_groups.rawValue: "joining its control groups"
    case iorun_box_failed_network.rawValue: "entering its network"
    case iorun_box_failed_descriptors.rawValue: "placing its descriptors"
    case iorun_box_failed_limits.rawValue: "setting its limits"
    case iorun_box_failed_user.rawValue: "becoming user \(user)"
    case iorun_box_failed_filter.rawValue: "filtering its system calls"
    case iorun_box_failed_exec.rawValue: "running it"
    case iorun_box_failed_namespace.rawValue: "making its mounts its own"
    default:
      if let step = steps.dropFirst(Int(failed) - Int(iorun_box_failed_mounts.rawValue)).first,
        failed >= Int32(iorun_box_failed_mounts.rawValue)
      {
        "mounting at \(step.target)" + (step.source.isEmpty ? "" : " what is at \(step.source)")
      } else {
        "making a process"
      }
    }
  }
}

/// Two lists as C takes them.
private func withBuffers<Result>(
  _ first: [Int32], _ second: [Int32],
  _ body: (UnsafeBufferPointer<Int32>, UnsafeBufferPointer<Int32>) -> Result
) -> Result {
  first.withUnsafeBufferPointer { first in
    second.withUnsafeBufferPointer { second in body(first, second) }
  }
}

/// C strings that live as long as the bag.
private final class CStringBag {
  private var pointers: [UnsafeMutablePointer<CChar>] = []

  func add(_ text: String) -> UnsafePointer<CChar>? {
    guard let pointer = strdup(text) else { return nil }
    pointers.append(pointer)
    return UnsafePointer(pointer)
  }

  deinit { for pointer in pointers { free(pointer) } }
}
