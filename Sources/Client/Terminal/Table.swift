/// Rows in aligned columns. On a terminal the table fits its width: the columns that may shrink are
/// cut with `…`; elsewhere nothing is cut.
public struct Table: Sendable, Hashable {
  /// One column.
  public struct Column: Sendable, Hashable {
    /// Its heading.
    public var title: String
    /// True for numbers, which end at the same place.
    public var isRightAligned: Bool
    /// True for long texts that may be cut.
    public var mayShrink: Bool

    /// Describes a column.
    public init(_ title: String, isRightAligned: Bool = false, mayShrink: Bool = false) {
      self.title = title
      self.isRightAligned = isRightAligned
      self.mayShrink = mayShrink
    }
  }

  /// The columns, from the left.
  public var columns: [Column]
  /// The cells of each row; missing ones are empty. Control characters in them are not shown.
  public var rows: [[String]]

  private static let gap = "  "
  /// No column is cut below this.
  private static let leastWidth = 8

  /// Makes a table.
  public init(columns: [Column], rows: [[String]] = []) {
    self.columns = columns
    self.rows = rows
  }

  /// The table as text, each line ended, without spaces at the ends of lines.
  public func render(_ style: TerminalStyle) -> String {
    let cells = ([columns.map(\.title)] + rows).map { row in
      columns.indices.map { $0 < row.count ? TerminalText.oneLine(row[$0]) : "" }
    }
    var widths = columns.indices.map { column in
      cells.map { DisplayWidth.of($0[column]) }.max() ?? 0
    }
    if style.isTerminal, let limit = style.columns { shrink(&widths, to: limit) }
    return cells.map { line($0, widths) + "\n" }.joined()
  }

  /// Takes columns from the widest that may shrink until the table fits or none is left.
  private func shrink(_ widths: inout [Int], to limit: Int) {
    var excess = widths.reduce(0, +) + Self.gap.count * (widths.count - 1) - limit
    while excess > 0 {
      let candidates = columns.indices.filter {
        columns[$0].mayShrink && widths[$0] > Self.leastWidth
      }
      guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { return }
      widths[widest] -= 1
      excess -= 1
    }
  }

  private func line(_ cells: [String], _ widths: [Int]) -> String {
    let padded = columns.indices.map { column in
      let text = DisplayWidth.cut(cells[column], to: widths[column])
      let space = String(repeating: " ", count: max(0, widths[column] - DisplayWidth.of(text)))
      return columns[column].isRightAligned ? space + text : text + space
    }
    var line = padded.joined(separator: Self.gap)[...]
    while line.last == " " { line.removeLast() }
    return String(line)
  }
}
