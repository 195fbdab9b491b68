internal import Foundation

/// Numbers and tables as text; tables are Markdown, so that they can be pasted as they are.
enum Figures {
  static func fixed(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
  }

  /// Whole, with commas between thousands.
  static func whole(_ value: Double) -> String {
    var groups: [String] = []
    var rest = Int(value.rounded())
    while rest >= 1000 {
      groups.insert(String(format: "%03d", rest % 1000), at: 0)
      rest /= 1000
    }
    return (["\(rest)"] + groups).joined(separator: ",")
  }

  /// Columns but the first are numbers.
  static func table(_ titles: [String], _ rows: [[String]]) -> String {
    let widths = titles.indices.map { column in
      ([titles] + rows).map { $0[column].count }.max() ?? 0
    }
    func line(_ cells: [String]) -> String {
      let padded = cells.indices.map { column in
        let space = String(repeating: " ", count: widths[column] - cells[column].count)
        return column == 0 ? cells[column] + space : space + cells[column]
      }
      return "| " + padded.joined(separator: " | ") + " |"
    }
    let rule = widths.indices.map { column in
      String(repeating: "-", count: max(2, widths[column]) - (column == 0 ? 0 : 1))
        + (column == 0 ? "" : ":")
    }
    return ([line(titles), "| " + rule.joined(separator: " | ") + " |"] + rows.map(line))
      .joined(separator: "\n")
  }
}
