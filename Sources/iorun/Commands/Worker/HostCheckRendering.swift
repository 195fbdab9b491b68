internal import Foundation
internal import IorunClient
internal import IorunWorker

/// What was found of a machine, for people: a line for each check, and one for what to do.
enum HostCheckRendering {
  static func text(_ checks: [HostCheck], isFixed: Bool = true) -> String {
    let width = checks.map(\.name.count).max() ?? 0
    let lines = checks.flatMap { check -> [String] in
      let mark =
        switch check.outcome {
        case .passed: "ok     "
        case .limited: "limited"
        case .failed: "FAILED "
        case .unknown: "?      "
        }
      let name = check.name.padding(toLength: width, withPad: " ", startingAt: 0)
      let wanted = check.outcome == .passed ? "" : " (wanted: \(check.wanted))"
      return ["\(mark) \(name)  \(check.found)\(wanted)"]
        + (check.remedy.map { [String(repeating: " ", count: 8) + "\($0)"] } ?? [])
    }
    let fixable = checks.contains { $0.fix != nil } && !isFixed
    return lines.map { TerminalText.oneLine($0) + "\n" }.joined()
      + (fixable ? "`iorun doctor --fix` does some of it\n" : "")
  }
}
