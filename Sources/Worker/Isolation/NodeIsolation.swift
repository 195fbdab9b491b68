/// How a node keeps the jobs that it runs apart from its machine: ranks, and the workers of runtime jobs
/// whose driver is elsewhere.
public enum NodeIsolation: String, Codable, Sendable, CaseIterable {
  /// In sandboxes of the first driver that passes its self-test here (crun, runc, bubblewrap); where
  /// none does, its owner's work alone, and that not at all.
  case auto
  /// In sandboxes of bubblewrap; a node where they fail their self-test does not start.
  case bwrap
  /// In sandboxes of an OCI runtime, crun or runc; a node where both fail their self-test does not start.
  case oci
  /// Not at all, and its owner's work alone.
  case process
  /// Not at all, whosever work it is: for networks of one's own, as those of `iorun up`.
  case open
}
