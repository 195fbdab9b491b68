import Foundation
import Glibc
import IorunSandbox

/// The NVIDIA driver's libraries of a machine, for ranks whose root is an image: these must be of the
/// version that the kernel's driver has, so no image can bring them.
struct GPULibraries: Sendable {
  /// Where an image's rank finds them.
  static let folder = "/iorun/gpu"

  /// File names that programs ask for, such as `libcuda.so.1`, and where they are.
  let files: [String: String]

  /// What every program links that computes (`libcuda`, `libnvidia-ml`), and what these load themselves.
  private static let names = [
    "libcuda.so.", "libcudadebugger.so.", "libnvidia-", "libnvcuvid.so.", "libnvoptix.so.",
  ]
  /// A sandbox has room for 64 binds.
  private static let most = 40

  /// Reads what `ldconfig -p` printed: lines `NAME (ABI) => PATH`. Only files that are there count.
  init(loaderCache text: String) {
    #if arch(arm64)
      let abi = "AArch64"
    #else
      let abi = "x86-64"
    #endif
    var files: [String: String] = [:]
    for line in text.split(separator: "\n") where files.count < Self.most {
      guard let arrow = line.range(of: " => ") else { continue }
      let words = line[..<arrow.lowerBound].split(separator: " ")
      let path = String(line[arrow.upperBound...])
      guard let name = words.first.map({ $0.trimmingCharacters(in: .whitespaces) }),
        Self.names.contains(where: name.hasPrefix), !name.contains("/"), line.contains(abi),
        path.hasPrefix("/"), files[name] == nil, access(path, R_OK) == 0
      else { continue }
      files[name] = path
    }
    self.files = files
  }

  /// Those of this machine. Runs a program; blocks for some milliseconds.
  static func find() -> GPULibraries {
    let places: [String] = ["/sbin/ldconfig", "/usr/sbin/ldconfig"]
    guard let program = places.first(where: { access($0, X_OK) == 0 }) else {
      return GPULibraries(loaderCache: "")
    }
    let said = try? HelperProgram.ask(program, ["-p"], limit: 4 << 20, within: .seconds(20))
    return GPULibraries(loaderCache: said?.output ?? "")
  }

  /// How they are shown in an image, read-only.
  var binds: [SandboxSpec.Bind] {
    files.sorted { $0.key < $1.key }.map { .init($0.value, at: "\(Self.folder)/\($0.key)") }
  }

  /// What an image's program has as `LD_LIBRARY_PATH` beside its own: the driver's come first, as the
  /// image's could only be of another version.
  static func searchPath(before own: String?) -> String {
    own.map { $0.isEmpty ? folder : folder + ":" + $0 } ?? folder
  }
}
