internal import Foundation
internal import IorunCore

/// The working folder of a runtime environment, where it is too large to be within the environment's
/// text: the node on which it lies, and its path there.
struct TravellingFolder: Sendable, Hashable {
  let node: NodeID
  let path: String

  private struct Document: Decodable {
    struct Folder: Decodable {
      var path: String
      var node: String?
    }
    var working_dir: Folder?
  }

  /// What an environment's text says of its folder; `nil` where none travels apart from it, and for a
  /// text that is no such document.
  init?(of text: String) {
    guard !text.isEmpty,
      let document = try? JSONDecoder().decode(Document.self, from: Data(text.utf8)),
      let folder = document.working_dir, folder.path.hasPrefix("/"),
      let node = folder.node.flatMap({ NodeID($0) })
    else { return nil }
    (self.node, path) = (node, folder.path)
  }
}
