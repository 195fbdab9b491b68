internal import CShim
internal import Foundation
internal import IorunCore

/// A root folder that shows this machine's own programs and libraries and nothing else of it: where
/// canaries run, and work that brings no image.
public struct HostRoot: Sendable {
  /// The folder to give as a sandbox's root.
  public let folder: String
  /// What to show in it.
  public let binds: [SandboxSpec.Bind]
  /// Where the program is inside.
  public let programInside = "/iorun/program"

  /// Makes the folder, with places for everything that is to be shown.
  ///
  /// - Parameters:
  ///   - folder: an absolute path; may be there already.
  ///   - program: a program of the host to show as well, with the libraries that `libraryFolders` has.
  ///   - files: more files and folders of the host to show under the same path; those that are not
  ///     there are left out.
  ///   - places: paths at which empty files are made, to show other files there.
  ///   - libraryFolders: folders of the host to show under the same path, where they are not below
  ///     `/usr`.
  /// - Throws: what making folders throws.
  public init(
    at folder: String, program: String? = nil, files: [String] = [], places: [String] = [],
    libraryFolders: [String] = []
  ) throws {
    self.folder = folder
    try SandboxFolder.make(folder, mode: 0o755)
    var binds: [SandboxSpec.Bind] = []
    func show(_ source: String, at target: String) throws {
      var status = stat()
      guard stat(source, &status) == 0 else { return }
      let place = folder + target
      if status.st_mode & S_IFMT == S_IFDIR {
        try SandboxFolder.make(place, mode: 0o755)
      } else {
        try SandboxFolder.make((place as NSString).deletingLastPathComponent, mode: 0o755)
        _ = try OpenFile(place, O_CREAT | O_WRONLY, mode: 0o644)
      }
      binds.append(.init(source, at: target))
    }
    try show("/usr", at: "/usr")
    for name in ["bin", "sbin", "lib", "lib64", "lib32"] {
      let path = "/" + name
      if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) {
        // Only where it stays inside; a link that is there already is fine.
        if !target.contains("..") { symlink(target, folder + path) }
      } else {
        try show(path, at: path)
      }
    }
    try show("/etc/ld.so.cache", at: "/etc/ld.so.cache")
    for file in files { try show(file, at: file) }
    for place in places {
      try SandboxFolder.make(
        ((folder + place) as NSString).deletingLastPathComponent, mode: 0o755)
      _ = try OpenFile(folder + place, O_CREAT | O_WRONLY, mode: 0o644)
    }
    for library in libraryFolders where !library.hasPrefix("/usr/") && !library.hasPrefix("/lib") {
      try show(library, at: library)
    }
    if let program { try show(program, at: programInside) }
    try SandboxFolder.addMountPoints(root: folder)
    self.binds = binds
  }

  /// The folders of the libraries that this process has loaded: what another copy of its own program
  /// needs.
  public static func ownLibraryFolders() -> [String] {
    let maps = ControlGroup.text("/proc/self/maps")
    let folders = maps.split(separator: "\n").compactMap { line -> String? in
      guard let start = line.firstIndex(of: "/"), line[start...].contains(".so") else { return nil }
      return (String(line[start...]) as NSString).deletingLastPathComponent
    }
    return Set(folders).sorted()
  }
}
