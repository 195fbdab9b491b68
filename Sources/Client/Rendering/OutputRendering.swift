internal import IorunContent
public import IorunContract
internal import IorunCore

/// What a job left behind, for people.
public enum OutputRendering {
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
