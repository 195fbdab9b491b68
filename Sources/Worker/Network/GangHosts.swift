import Foundation
import IorunContract
import IorunCore

/// The files of a gang's network that name its members: each rank is `rank-N`, each node `node-N`.
/// PyTorch looks the addresses of its peers up backwards, and warns where they have no names.
struct GangHosts: Sendable {
  /// The node's place.
  var seat: OverlaySeat
  /// The number of each rank's node, by rank.
  var nodes: [Int]
  /// The node's own host name: programs look it up to find their own address.
  var hostname: String
  /// `/etc/resolv.conf` where there is a name server; `nil` where there is none.
  var resolver: String?

  /// `/etc/hosts`.
  var hosts: String {
    var names = [[String]](repeating: [], count: seat.nodeCount)
    for (rank, node) in nodes.enumerated() where names.indices.contains(node) {
      names[node].append("rank-\(rank)")
    }
    var lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    for (node, ranks) in names.enumerated() {
      var all = ["node-\(node)"] + ranks
      if node == seat.node, Self.isName(hostname) { all.append(hostname) }
      // Some readers cut lines at 1,024 bytes.
      for part in stride(from: 0, to: all.count, by: 40) {
        let some = all[part..<min(part + 40, all.count)].joined(separator: " ")
        lines.append("\(seat.network.four(of: node)) \(some)")
      }
      lines.append("\(seat.network.six(of: node)) node-\(node)")
      // A socket of both families sees IPv4 peers so; PyTorch looks these up backwards. Under a name
      // of its own, so that nobody who looks `node-N` up gets this form.
      lines.append("::ffff:\(seat.network.four(of: node)) node-\(node).gang")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// `/etc/resolv.conf`: nothing answers, so that a look-up fails at once instead of waiting for a
  /// name server that cannot be reached.
  static let noResolver = """
    # A gang's network reaches its members and nothing else, so there is no name server.
    nameserver 127.0.0.1
    options attempts:1 timeout:1

    """

  /// Writes both. Blocks. Throws `fileSystem` or `diskFull`.
  func write(to folder: String) throws {
    do {
      try Data(hosts.utf8).write(to: URL(fileURLWithPath: folder + "/hosts"))
      try Data((resolver ?? Self.noResolver).utf8).write(
        to: URL(fileURLWithPath: folder + "/resolv.conf"))
      // The rank may be another user.
      for file in ["/hosts", "/resolv.conf"] {
        try FileManager.default.setAttributes(
          [.posixPermissions: 0o644], ofItemAtPath: folder + file)
      }
    } catch {
      throw FileFailure.error(error, "cannot write", folder)
    }
  }

  private static func isName(_ text: String) -> Bool {
    (1...253).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
          || byte == 45 || byte == 46
      }
  }
}
