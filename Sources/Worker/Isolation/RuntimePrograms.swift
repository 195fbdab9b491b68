import Foundation
import IorunCore
import IorunSandbox

/// What programs of the runtime need of this machine beside its `/usr`: the interpreter that its agent
/// finds, and the SDK that this has. They are shown in sandboxes under their own paths, to be read.
struct RuntimePrograms: Sendable, Hashable {
  /// Folders to show.
  var folders: [String] = []
  /// Where programs are looked up inside.
  var searchPath = "/usr/local/bin:/usr/bin:/bin"
  /// A folder in which the interpreter finds the SDK; `nil` where it needs none, or there is no SDK.
  var packages: String?

  /// What the interpreter says of itself.
  private struct Answer: Decodable {
    var executable: String
    var prefixes: [String]
    var sdk: String
  }

  // Nothing of the SDK runs for it.
  private static let question = """
    import importlib.util, json, os, sys
    found = importlib.util.find_spec("iorun")
    sdk = os.path.dirname(os.path.abspath(found.origin)) if found and found.origin else ""
    print(json.dumps({"executable": os.path.abspath(sys.executable), "sdk": sdk,
      "prefixes": [os.path.abspath(sys.prefix), os.path.abspath(sys.base_prefix)]}))
    """
  /// One that hangs is as good as none.
  private static let patience = Duration.seconds(20)

  /// Asks the `python3` of this process's own `PATH`. Blocks for some tens of milliseconds. A machine
  /// without one has nothing more to show.
  static func find() -> RuntimePrograms {
    let said = try? HelperProgram.ask(
      "/usr/bin/env", ["python3", "-c", question],
      environment: ProcessInfo.processInfo.environment, within: patience)
    guard let said,
      let answer = try? JSONDecoder().decode(Answer.self, from: Data(said.output.utf8))
    else { return RuntimePrograms() }
    return RuntimePrograms(
      executable: answer.executable, prefixes: answer.prefixes, sdk: answer.sdk)
  }

  init() {}

  /// - Parameters:
  ///   - executable: the interpreter.
  ///   - prefixes: its own folder, and that of the one that it was made from, where it is a virtual
  ///     environment.
  ///   - sdk: the folder of the package `iorun`; empty where it has none.
  init(executable: String, prefixes: [String], sdk: String) {
    for prefix in prefixes where Self.isToBeShown(prefix) && !shows(prefix) {
      folders.append(prefix)
    }
    let programs = (executable as NSString).deletingLastPathComponent
    if !programs.isEmpty, shows(programs) { searchPath = "\(programs):\(searchPath)" }
    guard Self.isToBeShown(sdk), !shows(sdk) else { return }
    folders.append(sdk)
    packages = (sdk as NSString).deletingLastPathComponent
  }

  /// True where a path is the same inside.
  func shows(_ path: String) -> Bool {
    let parts = path.split(separator: "/")
    guard path.hasPrefix("/"), !parts.contains("..") else { return false }
    return (["/usr", "/opt", "/bin", "/sbin"] + folders)
      .contains { path == $0 || path.hasPrefix($0 + "/") }
  }

  // Never a folder that is a whole branch of the machine, such as `/root` or `/home`.
  private static func isToBeShown(_ folder: String) -> Bool {
    folder.hasPrefix("/") && folder.split(separator: "/").count >= 2
  }
}
