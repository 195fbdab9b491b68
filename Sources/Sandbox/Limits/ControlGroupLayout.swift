/// Where the control groups of this process are: version 1 (a hierarchy for each controller), version
/// 2 (one for all), or both side by side, as some hosts have it.
public struct ControlGroupLayout: Hashable, Sendable {
  /// The folder of this process's group in each hierarchy of version 1, by controller.
  public var version1: [String: String]
  /// The folder of this process's group in version 2.
  public var unified: String?
  /// Where version 2 is mounted.
  var unifiedMount: String?

  /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`. None where they cannot be read.
  public static func current() -> ControlGroupLayout {
    ControlGroupLayout(
      mountInfo: ControlGroup.text("/proc/self/mountinfo"),
      groups: ControlGroup.text("/proc/self/cgroup"))
  }

  /// Understands the two texts (proc(5), cgroups(7)).
  public init(mountInfo: String, groups: String) {
    var paths: [String: String] = [:]
    for line in groups.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      for controller in fields[1].split(separator: ",", omittingEmptySubsequences: false) {
        paths[String(controller)] = String(fields[2])
      }
    }
    version1 = [:]
    for line in mountInfo.split(separator: "\n") {
      // "36 35 98:0 ROOT MOUNTPOINT OPTIONS... - TYPE SOURCE SUPEROPTIONS"
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else {
        continue
      }
      let root = String(fields[3])
      let folder = String(fields[4])
      switch fields[dash + 1] {
      case "cgroup":
        for option in fields[dash + 3].split(separator: ",") {
          guard let path = paths[String(option)] else { continue }
          version1[String(option)] = Self.join(folder, path, root: root)
        }
      case "cgroup2":
        guard unified == nil, let path = paths[""] else { continue }
        unified = Self.join(folder, path, root: root)
        unifiedMount = folder
      default: break
      }
    }
  }

  // A container sees its own group mounted as the root: what is above it is not in the path.
  private static func join(_ folder: String, _ path: String, root: String) -> String {
    var rest = path
    if root != "/", rest.hasPrefix(root) { rest = String(rest.dropFirst(root.count)) }
    if rest.hasPrefix("/..") { rest = "" }
    return rest.isEmpty || rest == "/" ? folder : folder + (rest.hasPrefix("/") ? "" : "/") + rest
  }
}
