internal import IorunContent
public import IorunContract
public import IorunCore

/// What a job left behind, for people.
public enum OutputRendering {
  /// How many files a job left behind, in one line. `count` is `nil` where nobody could say.
  public static func summary(of job: JobID, count: Int?) -> String {
    let fetch = "iorun outputs \(job)"
    return switch count {
    case nil: "outputs: \(fetch)\n"
    case 0: "warning: no file matched the job's outputs\n"
    case 1: "outputs: 1 file; fetch it: \(fetch) --to DIR\n"
    case let count?: "outputs: \(count) files; fetch them: \(fetch) --to DIR\n"
    }
  }

  /// The files as a table, by rank and path.
  public static func table(_ outputs: [OutputFile]) -> Table {
    let sorted = outputs.sorted { ($0.rank, $0.path) < ($1.rank, $1.path) }
    return Table(
      columns: [
        .init("RANK", isRightAligned: true), .init("SIZE", isRightAligned: true), .init("PATH"),
      ],
      rows: sorted.map { ["\($0.rank)", $0.content.size.description, $0.path] })
  }
}
