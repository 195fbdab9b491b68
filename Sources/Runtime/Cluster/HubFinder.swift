internal import Foundation
internal import IorunCore

/// Finds the agent of this node: in the environment, or by the folder of a network that runs here.
enum HubFinder {
  private struct Published: Decodable { let socket: String }

  /// The path of the agent's socket.
  ///
  /// - Throws: `notRunning` where there is none.
  static func find(_ environment: [String: String]) throws -> String {
    if let path = environment["IORUN_HUB"], !path.isEmpty { return path }
    let folder =
      environment["IORUN_STATE_DIR"].flatMap { $0.isEmpty ? nil : $0 }
      ?? "\(environment["HOME"] ?? "/root")/.iorun"
    for candidate in candidates(in: folder) {
      guard let data = FileManager.default.contents(atPath: candidate),
        let published = try? JSONDecoder().decode(Published.self, from: data),
        FileManager.default.fileExists(atPath: published.socket)
      else { continue }
      return published.socket
    }
    throw IorunError(
      .notRunning, "no iorun network is running on this machine (looked in '\(folder)')",
      remedy: "Start one with `iorun up`, or set IORUN_HUB or IORUN_STATE_DIR")
  }

  /// `hub.json` in the folder, in its folders and in theirs.
  private static func candidates(in folder: String) -> [String] {
    func folders(_ parent: String) -> [String] {
      (FileManager.default.enumerator(atPath: parent).map { enumerator -> [String] in
        enumerator.skipDescendants()
        return (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
      } ?? []).sorted().map { "\(parent)/\($0)" }
    }
    let children = folders(folder)
    let all = [folder] + children + children.flatMap(folders)
    return all.map { "\($0)/hub.json" }.filter { FileManager.default.fileExists(atPath: $0) }
  }
}
