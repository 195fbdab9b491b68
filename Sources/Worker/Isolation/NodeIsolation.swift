/// How a node keeps the ranks that it runs apart from its machine.
public enum NodeIsolation: String, Codable, Sendable, CaseIterable {
  /// In sandboxes of bubblewrap where these pass their self-test here, else not at all.
  case auto
  /// In sandboxes of bubblewrap; a node where they fail their self-test does not start.
  case bwrap
  /// Not at all: for one's own work.
  case process
}
