/// How a node keeps the ranks that it runs apart from its machine.
public enum NodeIsolation: String, Codable, Sendable, CaseIterable {
  /// In sandboxes of the first driver that passes its self-test here (bubblewrap, crun, runc), else not
  /// at all.
  case auto
  /// In sandboxes of bubblewrap; a node where they fail their self-test does not start.
  case bwrap
  /// In sandboxes of an OCI runtime, crun or runc; a node where both fail their self-test does not start.
  case oci
  /// Not at all: for one's own work.
  case process
}
