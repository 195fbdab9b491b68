public import IorunContract
public import IorunCore
internal import IorunPath

/// Ways between peers for people.
public enum PathRendering {
  /// A line for each way; `names` are the nodes'.
  public static func text(_ nodes: [NodePaths], names: [PeerID: String]) -> String {
    nodes.flatMap { node in
      node.paths.map { path in
        let from = names[node.node] ?? node.node.short
        let to = names[path.peer] ?? path.peer.short
        let time = path.roundTripMilliseconds.map { ", \(tenths($0)) ms" } ?? ""
        // What a node says of its paths is a node's word: it must not move the cursor.
        return TerminalText.oneLine(
          "\(from) -> \(to) (\(path.purpose)): \(way(path.isDirect))\(time)") + "\n"
      }
    }.joined()
  }

  /// How many ways are direct and how many go through a relay, for a table's cell.
  public static func cell(_ paths: NodePaths?) -> String {
    guard let paths else { return "-" }
    let direct = paths.paths.count { $0.isDirect == true }
    let relayed = paths.paths.count { $0.isDirect == false }
    let counts = [direct > 0 ? "\(direct) direct" : nil, relayed > 0 ? "\(relayed) relay" : nil]
      .compactMap { $0 }
    return ([paths.natClass.rawValue] + counts).joined(separator: ", ")
  }

  /// `direct`, `relay` or `none`.
  public static func way(_ isDirect: Bool?) -> String {
    isDirect.map { $0 ? "direct" : "relay" } ?? "none"
  }

  /// A number with one decimal.
  public static func tenths(_ number: Double) -> String {
    guard number.isFinite, abs(number) < 1e9 else { return "?" }
    return "\((number * 10).rounded() / 10)"
  }
}

/// A node's ways in JSON.
public struct NodePathsView: Encodable, Sendable {
  let node: String
  let nat: String
  let paths: [PathView]

  struct PathView: Encodable, Sendable {
    let peer: String
    let purpose: String
    let way: String
    let address: String?
    let roundTripMilliseconds: Double?
  }

  /// Shows a node's ways.
  public init(_ paths: NodePaths) {
    node = paths.node.description
    nat = paths.natClass.rawValue
    self.paths = paths.paths.map { path in
      PathView(
        peer: path.peer.description, purpose: path.purpose,
        way: PathRendering.way(path.isDirect), address: path.address,
        roundTripMilliseconds: path.roundTripMilliseconds)
    }
  }
}
