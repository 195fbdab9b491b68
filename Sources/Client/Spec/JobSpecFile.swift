public import IorunCore

/// A job spec as people write it: the YAML form of `JobSpec`, checked, every fault named with its
/// line. What the keys mean stands in `JobSpecReader`.
public struct JobSpecFile: Sendable, Hashable {
  /// What to run.
  public var spec: JobSpec
  /// The folder whose files every rank gets, relative to the spec file; `nil` where none was named.
  public var workingDirectory: String?

  /// The largest spec file that is read.
  public static let maximumSize = Bytes.mebi(1)

  /// Describes a spec file.
  public init(spec: JobSpec, workingDirectory: String?) {
    self.spec = spec
    self.workingDirectory = workingDirectory
  }

  /// Reads a spec from its text.
  ///
  /// `file` is the path under which errors name the text; its folder names a job that has no
  /// `name`. Throws `IorunError(.specInvalid)` with `file:line:column`, what is wrong and what is
  /// allowed.
  public static func parse(yaml: String, file: String) throws -> JobSpecFile {
    let root = try SpecNode.root(yaml: yaml, file: file)
    return try JobSpecReader(file: file).read(root)
  }
}
